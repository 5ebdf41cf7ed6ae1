"""The acts of the demo, in order."""

from member.demo.crashes import second_act, third_act
from member.demo.mails import fourth_act
from member.demo.sign_up import first_act
from member.demo.stage import Stage


async def play(stage: Stage) -> None:
    """Sign up two members while the service and Redis fail, and follow both mails."""
    async with stage.service() as run:
        alice = await first_act(stage, run)
        await second_act(stage, run, alice)
    async with stage.service() as run:
        xiaoming = await third_act(stage, run, alice)
        await fourth_act(stage, run, alice, xiaoming)
        stage.narrator.open("The end.")
        stage.narrator.say("Stopping the service, the mail server and Redis")
