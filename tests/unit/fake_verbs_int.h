/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of the fake RDMA network share. */
#ifndef TEST_FAKE_VERBS_INT_H
#define TEST_FAKE_VERBS_INT_H

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include "fake_verbs.h"
#include "libcore/util.h"

#define FAKE_SGE_MAX     8
#define FAKE_MESSAGE_MAX (64u << 10)

struct fake_device {
	struct ibv_device dev;
	struct ibv_context ctx;
	struct ibv_device_attr attr;
	char addr[64];
	bool removed;
	bool dead; /* removed, and nothing completes any more */
	LIST_ENTRY(fake_device) link;
};

struct fake_pd {
	struct ibv_pd pd;
	unsigned mrs, qps;
	LIST_ENTRY(fake_pd) link;
};

struct fake_mr {
	struct ibv_mr mr;
	uint64_t iova;
	unsigned access;
	LIST_ENTRY(fake_mr) link;
};

struct fake_channel {
	struct ibv_comp_channel ch;
	unsigned cqs;
	LIST_ENTRY(fake_channel) link;
};

struct fake_cqe {
	struct ibv_wc wc;
	struct fake_qp *qp; /* NULL: destroyed since */
	struct fake_wr *sent; /* that it retires, and those before it; NULL: it is of a RECV */
	bool answer;
};

struct fake_cq {
	struct ibv_cq cq;
	struct fake_cqe *ring;
	uint32_t size, head, n;
	uint32_t reserved; /* work requests that its queue pairs may post */
	bool armed;
	bool dead; /* overflowed */
	uint32_t armed_for;
	unsigned qps;
	unsigned events, unacked;
	uint64_t polls;
	LIST_ENTRY(fake_cq) link;
};

struct fake_wr {
	TAILQ_ENTRY(fake_wr) link;
	uint64_t wr_id;
	struct ibv_sge sge[FAKE_SGE_MAX];
	int n_sge;
	bool signaled;
	uint8_t *inlined;
	uint32_t inline_len;
	uint8_t *posted; /* not inline: what its segments held when it was posted */
	uint64_t due; /* poll with which a late completion comes */
};
TAILQ_HEAD(fake_wr_list, fake_wr);

/* To the host, waiting for a receive buffer or for the link. */
struct fake_message {
	TAILQ_ENTRY(fake_message) link;
	size_t len;
	uint8_t data[];
};
TAILQ_HEAD(fake_message_list, fake_message);

struct fake_qp {
	struct ibv_qp qp;
	struct ibv_qp_cap cap;
	struct fake_conn *conn;
	bool sig_all;
	uint32_t sq_used, rq_used;   /* posted and not retired, not polled */
	struct fake_wr_list sends;   /* not transmitted */
	struct fake_wr_list unacked; /* transmitted, completion to come */
	struct fake_wr_list done;    /* completed or not to complete, not retired */
	struct fake_wr_list recvs;
	struct fake_message_list messages;
	enum ibv_wc_status first; /* of the first SEND that is flushed */
	bool flushed;
	bool running;
	LIST_ENTRY(fake_qp) link;
};

LIST_HEAD(fake_devices, fake_device);
LIST_HEAD(fake_pds, fake_pd);
LIST_HEAD(fake_mrs, fake_mr);
LIST_HEAD(fake_channels, fake_channel);
LIST_HEAD(fake_cqs, fake_cq);
LIST_HEAD(fake_qps, fake_qp);

struct fake_objs {
	struct fake_devices devices;
	struct fake_pds pds;
	struct fake_mrs mrs;
	struct fake_channels channels;
	struct fake_cqs cqs;
	struct fake_qps qps;
	uint32_t next_key, next_qpn;
	bool link_down;
};
extern struct fake_objs fo;

/* Whether this call is to fail: 0, or a positive errno value. */
int fake_fault(enum fake_call call);
struct fake_device *fake_device_of(struct ibv_context *ctx);
/* The device with this address; one that reaches it. Or NULL. */
struct fake_device *fake_device_at(const char *addr);
struct fake_device *fake_device_for(const char *dst);
void fake_print_addr(const struct sockaddr *sa, char buf[64], uint16_t *port);
/* Access to [addr, addr + len) by this key, which is a local or a remote one. */
void *fake_mr_find(const struct ibv_pd *pd, uint64_t addr, uint32_t key, size_t len, bool remote,
		   unsigned access, const char **ret_why);

/* fake_qp.c */
int fake_post_send(struct ibv_qp *qp, struct ibv_send_wr *wr, struct ibv_send_wr **bad);
int fake_post_recv(struct ibv_qp *qp, struct ibv_recv_wr *wr, struct ibv_recv_wr **bad);
struct fake_qp *fake_qp_create(struct ibv_pd *pd, struct ibv_qp_init_attr *attr);
void fake_qp_destroy(struct fake_qp *qp);
/* Bring it into the error state; @status of the first SEND that waits. */
void fake_qp_error(struct fake_qp *qp, enum ibv_wc_status status);
/* Messages that wait for it are lost. */
void fake_qp_drop_messages(struct fake_qp *qp);
/* Transmit what can be. */
void fake_qp_run(struct fake_qp *qp);
/* A completion has been polled: this SEND and those before it are retired. */
void fake_qp_retire(struct fake_qp *qp, const struct fake_wr *wr);
/* Completions that come with this poll. */
void fake_qp_late(struct fake_cq *cq);

/* fake_cq.c */
int fake_poll_cq(struct ibv_cq *cq, int n, struct ibv_wc *wc);
int fake_req_notify_cq(struct ibv_cq *cq, int solicited);
void fake_cq_push(struct fake_cq *cq, const struct fake_cqe *cqe);

/* fake_cm.c */
void fake_cm_begin(void);
unsigned fake_cm_left(void);
void fake_cm_end(void);
void fake_cm_removed(struct fake_device *dev);

#endif
