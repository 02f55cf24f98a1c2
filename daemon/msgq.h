/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A queue of messages from one thread to one other.
 *
 * The sender never blocks and loses nothing: what doesn't fit waits in a list of its own, in order,
 * until it calls msgq_flush() again. Messages are embedded in the objects that they are about, or
 * allocated by whoever sends; a message is in one queue at a time.
 */
#ifndef NVMUXD_MSGQ_H
#define NVMUXD_MSGQ_H

#include <stdbool.h>
#include <stdint.h>

#define MSGQ_ENTRIES 256u /* a power of two */

struct msg {
	struct msg *next; /* in the sender's list */
};

struct msgq {
	/* the receiver's line */
	_Alignas(64) uint32_t head; /* free-running */
	/* the sender's lines */
	_Alignas(64) uint32_t tail; /* free-running */
	_Alignas(64) struct msg *overflow;
	struct msg **overflow_end;

	_Alignas(64) struct msg *slots[MSGQ_ENTRIES];
};

void msgq_init(struct msgq *q);

/* Sender: append a message. */
void msgq_post(struct msgq *q, struct msg *msg);
/* Sender: move waiting messages into room that has become free. True: it moved some. */
bool msgq_flush(struct msgq *q);
/* Sender: whether messages wait for room. */
static inline bool msgq_is_waiting(const struct msgq *q)
{
	return q->overflow;
}

/* Receiver: whether there is a message; NULL from msgq_take() when there is none. */
static inline bool msgq_is_empty(const struct msgq *q)
{
	return __atomic_load_n(&q->tail, __ATOMIC_ACQUIRE) == q->head;
}
struct msg *msgq_take(struct msgq *q);

#endif
