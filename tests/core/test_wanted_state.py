"""Of each setting that operators want, the newest value holds."""

import pytest

from pyasynq import OptionError
from pyasynq.core.wanted_state import Setting, WantedState, combine, controls_of, encode_settings


def a_setting(name: str, value: str, at_us: int, *, target: str = "*") -> Setting:
    return Setting(target=target, name=name, value=value, at_us=at_us, for_server=False)


def test_nothing_wanted_leaves_all_as_it_is() -> None:
    assert combine([]) == WantedState()


def test_the_newest_of_each_setting_holds_whatever_its_target() -> None:
    wanted = combine(
        [
            a_setting("concurrency", "1", 5, target="s"),
            a_setting("state", '"quiet"', 1, target="s"),
            a_setting("concurrency", "2", 4, target="shop"),
            a_setting("state", '"active"', 2),
            a_setting("queues", '{"a":3}', 1),
        ]
    )
    assert wanted == WantedState(concurrency=1, state="active", queues={"a": 3})


def test_of_two_settings_with_one_time_the_first_holds() -> None:
    settings = [a_setting("concurrency", "1", 5, target="s"), a_setting("concurrency", "2", 5)]
    assert combine(settings).concurrency == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("state", '"asleep"'),
        ("state", "7"),
        ("concurrency", '"5"'),
        ("concurrency", "0"),
        ("queues", '["a"]'),
        ("queues", "{"),
    ],
)
def test_a_value_that_cannot_be_used_is_a_problem_and_spoils_no_other(
    name: str, value: str
) -> None:
    others = {"state": '"stop"', "concurrency": "3", "queues": '{"a":1}'} | {name: value}
    wanted = combine([a_setting(key, text, 1) for key, text in others.items()])
    assert list(wanted.problems) == [name]
    assert getattr(wanted, name) is None


def test_more_queues_than_every_server_can_read_each_time_are_refused() -> None:
    queues = {f"q{number}": 1 for number in range(1001)}
    with pytest.raises(OptionError, match=r"queues must be at most 1000 queues, or a pattern"):
        encode_settings({"queues": queues})
    del queues["q0"]
    encode_settings({"queues": queues})


def test_settings_are_written_as_json() -> None:
    assert encode_settings({"state": "stop", "concurrency": 5, "queues": {"ä*": 1}}) == {
        "state": '"stop"',
        "concurrency": "5",
        "queues": '{"ä*":1}',
    }
    with pytest.raises(OptionError):
        encode_settings({"concurrency": True})


def test_what_is_wanted_is_shown_by_target() -> None:
    settings = [
        a_setting("concurrency", "5", 1_000_000, target="shop"),
        a_setting("state", '"stop"', 3_000_000),
        a_setting("queues", '{"a":1}', 2_000_000, target="shop"),
    ]
    every, shop = controls_of(settings)
    assert (every.target, every.state, every.concurrency) == ("*", "stop", None)
    assert (shop.target, shop.state, shop.concurrency, shop.queues) == ("shop", None, 5, {"a": 1})
    assert shop.changed_at.timestamp() == 2
