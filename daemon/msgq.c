// SPDX-License-Identifier: BSD-3-Clause
/* A queue of messages from one thread to one other. */
#include <stddef.h>
#include "daemon/msgq.h"

void msgq_init(struct msgq *q)
{
	q->head = 0;
	q->tail = 0;
	q->overflow = NULL;
	q->overflow_end = &q->overflow;
}

static bool has_room(const struct msgq *q)
{
	/* acquire: the receiver has read a slot before it is written again */
	return q->tail - __atomic_load_n(&q->head, __ATOMIC_ACQUIRE) < MSGQ_ENTRIES;
}

static void put(struct msgq *q, struct msg *msg)
{
	q->slots[q->tail % MSGQ_ENTRIES] = msg;
	/* release: the slot and the message are visible before the index */
	__atomic_store_n(&q->tail, q->tail + 1, __ATOMIC_RELEASE);
}

bool msgq_flush(struct msgq *q)
{
	bool moved = false;

	while (q->overflow && has_room(q)) {
		struct msg *msg = q->overflow;

		q->overflow = msg->next;
		if (!q->overflow)
			q->overflow_end = &q->overflow;
		put(q, msg);
		moved = true;
	}
	return moved;
}

void msgq_post(struct msgq *q, struct msg *msg)
{
	msgq_flush(q);
	if (!q->overflow && has_room(q)) {
		put(q, msg);
		return;
	}
	msg->next = NULL;
	*q->overflow_end = msg;
	q->overflow_end = &msg->next;
}

struct msg *msgq_take(struct msgq *q)
{
	struct msg *msg;

	if (msgq_is_empty(q))
		return NULL;
	msg = q->slots[q->head % MSGQ_ENTRIES];
	__atomic_store_n(&q->head, q->head + 1, __ATOMIC_RELEASE);
	return msg;
}
