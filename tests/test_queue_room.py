"""How much an endpoint's queue takes, learned from refusals."""

from multifaceted.batch.queue_room import GROW, LONGEST_WAIT, PATIENCE, QueueRoom


def test_nothing_is_known_of_a_queue_at_first() -> None:
    room = QueueRoom(100)
    assert (room.batch_size, room.polls_to_wait, room.takes(100, beside=1000)) == (100, 0, True)


def test_room_is_what_came_through_beside_a_refused_batch() -> None:
    room = QueueRoom(100)
    room.note_full(100, beside=40)  # these came through, or will be refused themselves
    assert (room.batch_size, room.polls_to_wait) == (40, 0)
    assert [room.takes(requests, beside=20) for requests in (20, 21)] == [True, False]


def test_batches_shrink_where_one_was_refused_alone_and_grow_faster_where_one_comes_through() -> None:
    room = QueueRoom(100)
    room.note_full(40, beside=0)
    room.note_full(20, beside=0)
    assert (room.batch_size, room.polls_to_wait) == (10, 2)
    room.note_taken(10)
    assert (room.batch_size, room.polls_to_wait) == (10 * GROW, 0)
    for _ in range(5):
        room.note_taken(room.batch_size)
    assert room.batch_size == 100


def test_a_queue_that_takes_nothing_is_tried_ever_more_seldom_and_at_last_given_up() -> None:
    room = QueueRoom(100)
    waits = []
    while not room.exhausted:
        room.note_full(room.batch_size, beside=0)
        waits.append(room.polls_to_wait)
    assert waits[:3] == [1, 2, 4]
    assert (len(waits), max(waits), room.batch_size) == (PATIENCE, LONGEST_WAIT, 1)
    assert room.takes(1, beside=0)  # or it would never be tried
