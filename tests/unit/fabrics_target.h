/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An NVMe over RDMA target on the other side of the fake RDMA network. Commands are executed by the
 * emulator's model; fabrics commands, events, keep-alive, asymmetric namespace access and the
 * discovery log are its own.
 *
 * Each Connect of an admin queue makes a new controller; all of them share the namespaces. It is
 * strict: a command that it finds malformed is a violation of the driver's (fake_violation()).
 * All fields may be set and read by tests, with fake_lock() while other threads run.
 */
#ifndef TEST_FABRICS_TARGET_H
#define TEST_FABRICS_TARGET_H

#include "emulator/internal.h"
#include "fake_verbs.h"
#include "transports/rdma/fabrics.h"

#define TARGET_NQN     "nqn.2024-01.test:sub"
#define TARGET_ADDR    "10.0.0.1"
#define TARGET_PORT    4420
#define TARGET_LOG_MAX 65536
#define TARGET_AER_MAX 4
#define TARGET_ANA_MAX 4

/* The buffer that the model's data pointers lead to; behind it a PRP list. */
#define TARGET_BOUNCE_IOVA 0x40000000ull
#define TARGET_BOUNCE_SIZE (2u << 20)

/* A command that was executed (I/O) or arrived (admin). */
struct target_entry {
	uint64_t at_ms;
	uint64_t slba;
	uint32_t nlb;
	uint32_t nsid;
	uint16_t qid;
	uint16_t cntlid;
	uint16_t cid;
	uint8_t opc;
	uint8_t fctype;
	bool in_capsule;
};

/* Where a command's data are. */
struct target_data {
	const uint8_t *capsule; /* in it, else: */
	uint64_t addr;
	uint32_t rkey;
	uint32_t len;
};

struct target_ctrlr {
	struct target_ctrlr *next;
	struct target *target;
	uint16_t cntlid;
	bool alive;
	bool discovery;
	uint32_t cc, csts;
	uint32_t kato_ms;
	uint64_t keep_alive_at;
	uint32_t aec;
	struct fake_conn *admin;
	uint16_t aer_cids[TARGET_AER_MAX];
	uint32_t n_aers;
	char hostnqn[256];
	uint8_t hostid[16];
};

/* A connection; conn->peer. */
struct target_conn {
	struct target_conn *next;
	struct fake_conn *conn;
	struct target_ctrlr *ctrlr; /* NULL: no Connect yet */
	uint16_t qid;
	uint16_t entries;
	uint16_t sq_head;
};

/* A command that waits, see hold. */
struct target_held {
	TAILQ_ENTRY(target_held) link;
	struct target_conn *tc;
	struct nvmux_cmd cmd;
	struct target_data data;
	uint8_t *fetched; /* of a write */
	uint8_t capsule[];
};
TAILQ_HEAD(target_held_list, target_held);

enum target_fault {
	TARGET_OK,
	TARGET_STATUS,      /* fault_status instead of executing it */
	TARGET_STATUS_LATE, /* executed, and then fault_status */
	TARGET_UNKNOWN_CID, /* an answer for fault_cid */
	TARGET_DUPLICATE,   /* two answers */
	TARGET_SHORT,       /* an answer of fault_len bytes */
	TARGET_DROP,        /* no answer */
	TARGET_DISCONNECT,  /* the target disconnects instead of answering */
};

struct target {
	/* ---- how it behaves ---- */
	char subnqn[224];
	const char *allowed_host; /* NULL: everybody */
	uint16_t crqsize;         /* of the accept at most, 1's based; 0: as asked for */
	bool crqsize_admin;       /* that of the admin queue too */
	uint16_t admin_entries;   /* of the admin queue at most, as by its reject; 0: any */
	uint32_t in_capsule;      /* bytes; IOCCSZ follows */
	uint16_t icdoff;
	uint8_t msdbd;
	uint16_t maxcmd;
	uint16_t kas;
	bool enforce_kato; /* and end the controller when it is over */
	bool ana; /* groups by namespace: ANAGRPID of namespace n is n % TARGET_ANA_MAX + 1 */
	uint8_t ana_state[TARGET_ANA_MAX];
	uint16_t max_connections; /* of I/O queues; 0: any */

	/* the connection: what comes as private data instead of what should */
	bool bad_accept;
	uint8_t accept[64];
	size_t accept_len;
	uint16_t reject_status; /* 0: accept; of the RDMA transport */
	int reject_reason;      /* 28 unless set */
	int reject_qid;         /* -1: all */
	unsigned reject_times;
	bool silent_cm; /* never answers a connection request */

	/* Fabrics Connect */
	uint16_t connect_status; /* 0: as it is */
	uint32_t connect_dw0;
	int connect_qid; /* -1: all */
	unsigned connect_times;
	bool silent_connect; /* of the queue connect_qid */
	bool silent_admin;   /* nothing but Connect is answered on the admin queue */
	bool csts_never;     /* CSTS.RDY stays 0 */
	uint32_t shutdown_ms; /* until CSTS.SHST says complete */
	uint64_t cap_and, cap_or;
	void (*identify)(struct target *t, uint8_t cns, uint8_t *data); /* lie about it */

	/* faults of I/O commands: the fault_nth (1: the next) with fault_opc (0xff: any), and
	 * fault_times after that */
	enum target_fault fault;
	uint8_t fault_opc;
	bool fault_admin; /* of admin commands instead */
	unsigned fault_nth, fault_times;
	uint16_t fault_status;
	uint16_t fault_cid;
	size_t fault_len;
	unsigned fault_hits;

	/* I/O commands wait for target_release(); data of writes fetched already if hold_fetch */
	bool hold;
	bool hold_fetch;
	bool zombie; /* those of a connection that has ended stay too */
	struct target_held_list held;
	unsigned n_held;

	/* discovery */
	bool discovery; /* it is only that */
	struct nvmf_disc_log_entry *records;
	uint64_t n_records;
	uint64_t numrec_lie; /* 0: none */
	uint64_t genctr;
	uint16_t recfmt;
	unsigned genctr_moves; /* it changes with so many reads of the log */

	/* ---- what it saw ---- */
	struct target_entry *log;
	uint32_t n_log;
	uint32_t n_ctrlrs; /* ever */
	uint32_t keep_alives;
	uint32_t kato_expired;
	uint32_t connections; /* now */
	uint32_t shutdowns;
	uint16_t last_hsqsize, last_hrqsize;

	/* ---- its own ---- */
	struct emu_ctrlr *emu;
	struct emu_sq sq; /* whose data pointers lead into the bounce buffer */
	uint8_t *bounce;
	struct fake_peer peer;
	struct fake_peer peer2;
	struct target_ctrlr *ctrlrs;
	struct target_conn *conns;
	uint16_t next_cntlid;
};

/* As the emulator's description: "mem,size=64M,bs=512,mdts=8,entries=128". */
struct target *target_new(const char *ns, const char *addr, uint16_t port);
struct target *target_discovery_new(const char *addr, uint16_t port);
void target_free(struct target *t);

/* One more address of the same. */
void target_listen(struct target *t, const char *addr, uint16_t port);

/* Execute commands that are held: @n of them, 0: all, in a random order if @shuffle. */
void target_release(struct target *t, unsigned n, bool shuffle);
/* Answer an event request of each live controller whose AEC has @bit (UINT32_MAX: any). */
unsigned target_event(struct target *t, uint32_t aec_bit, uint8_t type, uint8_t info, uint8_t log);
/* Controllers that are alive. */
unsigned target_live(struct target *t);
/* Fail the live controllers (CSTS.CFS), without a word. */
void target_fail(struct target *t);
/* Commands of this opcode among those executed since entry @from; @qid -1: I/O queues. */
unsigned target_count(struct target *t, uint32_t from, uint8_t opc, int qid);
/* Data of namespace @nsid. */
uint8_t *target_ns_data(struct target *t, uint32_t nsid);
/* Add a record to the discovery log; the generation counter moves. */
void target_add_record(struct target *t, uint8_t subtype, const char *addr, uint16_t port,
		       const char *nqn);

/* ---- what its files share ---- */

void target_on_message(void *arg, struct fake_conn *conn, const uint8_t *capsule, size_t len);
void target_kato_check(void *arg);
/* Whether a fault of queue @which (-1: all) is for @qid. */
static inline bool target_hits(int which, uint16_t qid)
{
	return which == -1 || which == qid;
}
/* Forget commands that are held; @tc NULL: of all connections. */
void target_drop_held(struct target *t, const struct target_conn *tc);

/* Execute an admin command that isn't of fabrics; a status, EMU_NO_COMPLETION: none now. */
uint16_t target_admin(struct target *t, struct target_conn *tc, const struct nvmux_cmd *cmd,
		      const struct target_data *data, uint32_t *ret_dw0);
/* Data between the host and the bounce buffer, exactly @len. */
uint16_t target_from_host(struct target *t, struct target_conn *tc, const struct target_data *data,
			  uint32_t len);
uint16_t target_to_host(struct target *t, struct target_conn *tc, const struct target_data *data,
			uint32_t len);
/* The command with PRPs into the bounce buffer. */
struct nvmux_cmd target_bounce_cmd(const struct nvmux_cmd *cmd, uint32_t len);
void target_answer(struct target *t, struct target_conn *tc, uint16_t cid, uint16_t status,
		   uint32_t dw0, uint32_t dw1);

#endif
