// SPDX-License-Identifier: BSD-3-Clause
/*
 * The control socket: accept, read lines, obey, answer.
 *
 * Failure modes: a line that is too long is answered with an error, and its connection closed; a
 * client that doesn't read its answers is closed; a fifth client takes the place of the first.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "emulator/control.h"
#include "emulator/fault.h"
#include "libcore/util.h"

#define ANSWER_MAX (EMU_FAULTS_MAX * EMU_FAULT_SPEC_MAX + 256)

void control_init(struct control *c)
{
	c->listener.fd = c->listener.dir_fd = -1;
	for (int i = 0; i < CONTROL_CLIENTS; i++)
		c->clients[i].fd = -1;
}

int control_open(struct control *c, const char *dir, char *why, size_t why_size)
{
	return vus_listener_open_locked(&c->listener, dir, CONTROL_SOCKET_NAME, why, why_size);
}

static void drop(struct control_client *client)
{
	if (client->fd >= 0)
		close(client->fd);
	client->fd = -1;
	client->have = 0;
}

void control_close(struct control *c)
{
	for (int i = 0; i < CONTROL_CLIENTS; i++)
		drop(&c->clients[i]);
	vus_listener_close(&c->listener);
}

void control_fill(const struct control *c, struct pollfd fds[CONTROL_POLLFDS])
{
	fds[0] = (struct pollfd){.fd = c->listener.fd, .events = POLLIN};
	for (int i = 0; i < CONTROL_CLIENTS; i++)
		fds[1 + i] = (struct pollfd){.fd = c->clients[i].fd, .events = POLLIN};
}

static void obey(struct control_client *client, struct emu_ctrlr *model, char *line)
{
	char text[ANSWER_MAX], why[256] = "";
	size_t len = strlen(line), n = 0;
	int err = 0;

	if (len > 0 && line[len - 1] == '\r')
		line[len - 1] = '\0';
	if (strcmp(line, "clear") == 0)
		emu_fault_clear(model);
	else if (strcmp(line, "list") == 0)
		n = emu_fault_list(model, text, sizeof(text) - 256);
	else if (strncmp(line, "smart ", 6) == 0)
		err = emu_smart_set(model, line + 6, why, sizeof(why));
	else if (strncmp(line, "zone ", 5) == 0)
		err = emu_zone_set(model, line + 5, why, sizeof(why));
	else
		err = emu_fault_set(model, line, why, sizeof(why));
	if (err)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "error: %s\n", why);
	else
		n += (size_t)snprintf(text + n, sizeof(text) - n, "ok\n");
	if (send(client->fd, text, n, MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)n)
		drop(client);
}

static void take_lines(struct control_client *client, struct emu_ctrlr *model)
{
	char *end;

	while (client->fd >= 0 && (end = memchr(client->line, '\n', client->have))) {
		uint32_t used = (uint32_t)(end - client->line) + 1;

		*end = '\0';
		obey(client, model, client->line);
		client->have -= MIN(used, client->have);
		memmove(client->line, client->line + used, client->have);
	}
}

static void read_client(struct control_client *client, struct emu_ctrlr *model)
{
	static const char too_long[] = "error: the line is too long\n";
	ssize_t n = recv(client->fd, client->line + client->have,
			 sizeof(client->line) - client->have, MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		drop(client);
		return;
	}
	client->have += (uint32_t)n;
	take_lines(client, model);
	if (client->fd < 0 || client->have < sizeof(client->line))
		return;
	/* It is closed whether it hears this or not. */
	n = send(client->fd, too_long, sizeof(too_long) - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
	(void)n;
	drop(client);
}

static void accept_one(struct control *c)
{
	int fd = accept4(c->listener.fd, NULL, NULL, SOCK_CLOEXEC);
	struct control_client *slot = &c->clients[0];

	if (fd < 0)
		return;
	for (int i = 0; i < CONTROL_CLIENTS; i++) {
		if (c->clients[i].fd < 0)
			slot = &c->clients[i];
	}
	drop(slot);
	slot->fd = fd;
}

void control_serve(struct control *c, struct emu_ctrlr *model,
		   const struct pollfd fds[CONTROL_POLLFDS])
{
	for (int i = 0; i < CONTROL_CLIENTS; i++) {
		if (fds[1 + i].revents && fds[1 + i].fd == c->clients[i].fd)
			read_client(&c->clients[i], model);
	}
	if (fds[0].revents)
		accept_one(c);
}
