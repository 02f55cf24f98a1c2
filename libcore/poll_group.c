// SPDX-License-Identifier: BSD-3-Clause
/* Poll groups: queue pairs that one thread polls together; see <nvmux/poll_group.h>. */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "transport.h"

int nvmux_poll_group_create(struct nvmux *nvmux, struct nvmux_poll_group **ret)
{
	struct nvmux_poll_group *group = calloc(1, sizeof(*group));

	if (!group)
		return -ENOMEM;
	group->nvmux = nvmux;
	TAILQ_INIT(&group->qpairs);
	group->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (group->epoll_fd < 0) {
		free(group);
		return nvmux_error(nvmux, -errno, "epoll_create1: %s", strerror(errno));
	}
	*ret = group;
	return 0;
}

int nvmux_poll_group_destroy(struct nvmux_poll_group *group)
{
	if (!group)
		return 0;
	if (group->processing)
		return nvmux_error(group->nvmux, -EBUSY, "the poll group is being processed");
	if (!TAILQ_EMPTY(&group->qpairs))
		return nvmux_error(group->nvmux, -EBUSY, "the poll group still has queue pairs");
	for (unsigned i = 0; i < NVMUX_TRTYPE_COUNT; i++) {
		const struct nvmux_transport *transport = group->nvmux->transports[i];

		if (transport && transport->group_end)
			transport->group_end(group);
	}
	close(group->epoll_fd);
	free(group);
	return 0;
}

void nvmux_poll_group_add(struct nvmux_poll_group *group, struct nvmux_qpair *qpair)
{
	qpair->group = group;
	TAILQ_INSERT_TAIL(&group->qpairs, qpair, group_link);
}

void nvmux_poll_group_remove(struct nvmux_qpair *qpair)
{
	if (!qpair->group)
		return;
	TAILQ_REMOVE(&qpair->group->qpairs, qpair, group_link);
	qpair->group = NULL;
}

void nvmux_poll_group_reap(struct nvmux_poll_group *group)
{
	bool outer = !group->other_thread && !group->processing;

	if (outer)
		group->processing = true;
	for (unsigned i = 0; i < NVMUX_TRTYPE_COUNT; i++) {
		const struct nvmux_transport *transport = group->nvmux->transports[i];

		if (transport && transport->group_reap)
			transport->group_reap(group);
	}
	if (outer)
		nvmux_qpair_group_processed(group);
}

int nvmux_poll_group_process_completions(struct nvmux_poll_group *group, uint32_t max)
{
	struct nvmux_qpair *qpair, *next;
	int err = 0, n = 0;

	if (group->processing)
		return -EDEADLK;
	group->processing = true; /* none is freed before the end */
	for (qpair = TAILQ_FIRST(&group->qpairs); qpair; qpair = next) {
		int ret;

		next = TAILQ_NEXT(qpair, group_link);
		if (!nvmux_qpair_outstanding(qpair) && !qpair->slow &&
		    nvmux_qpair_get_state(qpair) == NVMUX_QPAIR_CONNECTED)
			continue;
		ret = nvmux_qpair_process_completions(qpair, max);
		if (ret < 0)
			err = ret;
		else
			n += ret;
	}
	nvmux_qpair_group_processed(group);
	group->stats.polls++;
	group->stats.idle_polls += !n;
	group->stats.completions += (uint32_t)n;
	return err ? err : n;
}

void nvmux_poll_group_get_stats(const struct nvmux_poll_group *group,
				struct nvmux_poll_group_stats *ret)
{
	const struct nvmux_qpair *qpair;

	*ret = group->stats;
	ret->qpairs = 0;
	TAILQ_FOREACH (qpair, &group->qpairs, group_link)
		ret->qpairs++;
}

int nvmux_poll_group_wait(struct nvmux_poll_group *group, int timeout_ms)
{
	struct pollfd pfd = {.fd = group->epoll_fd, .events = POLLIN};
	int n = nvmux_poll_group_process_completions(group, 0);

	if (n)
		return n;
	n = nvmux_poll_group_arm(group);
	if (n && n != -EAGAIN)
		return n;
	if (!n && poll(&pfd, 1, timeout_ms) < 0 && errno != EINTR)
		return -errno;
	return nvmux_poll_group_process_completions(group, 0);
}

int nvmux_poll_group_arm_shared(struct nvmux_poll_group *group)
{
	int err = 0;

	for (unsigned i = 0; i < NVMUX_TRTYPE_COUNT && !err; i++) {
		const struct nvmux_transport *transport = group->nvmux->transports[i];

		if (transport && transport->group_arm)
			err = transport->group_arm(group);
	}
	return err;
}

int nvmux_poll_group_arm(struct nvmux_poll_group *group)
{
	const struct nvmux_qpair *qpair;
	bool wait = true;

	TAILQ_FOREACH (qpair, &group->qpairs, group_link) {
		if (!qpair->transport->group_arm)
			return -EOPNOTSUPP;
		wait &= !nvmux_qpair_needs_turns(qpair);
	}
	return wait ? nvmux_poll_group_arm_shared(group) : -EAGAIN;
}

int nvmux_poll_group_get_fd(const struct nvmux_poll_group *group)
{
	return group->epoll_fd;
}
