from __future__ import annotations

from proxy.demo import streams
from proxy.demo.streams import Channel, Frame, Stream, Topic, render_frame


def _frames(count: int) -> list[Frame]:
    return [Frame("token", {"text": str(index)}) for index in range(count)]


async def test_a_channel_keeps_what_nobody_heard() -> None:
    channel = Channel()
    early, late = _frames(2)
    channel.publish(early)
    subscriber = channel.subscribe()
    channel.publish(late)
    assert [await subscriber.get(1), await subscriber.get(1)] == [early, late]
    assert await channel.subscribe().get(0.01) is None


async def test_a_topic_forgets_what_nobody_heard() -> None:
    topic = Topic()
    topic.publish(Frame("lost", {}))
    assert await topic.subscribe().get(0.01) is None


async def test_a_slow_subscriber_loses_the_oldest() -> None:
    topic = Topic()
    subscriber = topic.subscribe()
    frames = _frames(streams.QUEUE_LIMIT + 1)
    for frame in frames:
        topic.publish(frame)
    assert await subscriber.get(1) == frames[1]


def test_a_journal_is_bounded_and_goes_on_counting() -> None:
    stream = Stream("X", "S", frames_carry_ids=True)
    for frame in _frames(streams.JOURNAL_LIMIT + 5):
        stream.emit(frame.event, frame.data)
    kept = list(stream.replay(0))
    assert len(kept) == streams.JOURNAL_LIMIT
    assert (kept[0].event_id, stream.last_seq) == ("X:6", streams.JOURNAL_LIMIT + 5)


def test_a_replay_is_after_and_until() -> None:
    stream = Stream("X", "S", frames_carry_ids=True)
    for frame in _frames(5):
        stream.emit(frame.event, frame.data)
    assert [frame.event_id for frame in stream.replay(1, 3)] == ["X:2", "X:3"]


def test_a_frame_is_written_with_or_without_an_id() -> None:
    frame = Frame("token", {"text": "ä\n"})
    assert render_frame(frame, "X:1") == 'id: X:1\nevent: token\ndata: {"text": "ä\\n"}\n\n'.encode()
    assert render_frame(frame, None).startswith(b"event: token\n")


def test_an_empty_journal_has_no_newest_event() -> None:
    summary = Stream("X", "S", frames_carry_ids=True).summary(active=True)
    assert (summary["last_seq"], summary["last_event"], summary["terminal_state"]) == (0, None, "running")
