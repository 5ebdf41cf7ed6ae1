"""Records of flows."""

from typing import Final

from pyasynq.broker.redis.scripts import Script

open_flow: Final = Script("flows/open_flow", repeatable=True)
read_flows: Final = Script("flows/read_flows", repeatable=True)
change_flow: Final = Script("flows/change_flow")
look_after_flows: Final = Script("flows/look_after_flows", repeatable=True)
