/* SPDX-License-Identifier: Apache-2.0 */
#include "disposal.h"

#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#define STACK_SIZE (64 * 1024)

struct disposal {
	atomic_bool under_way; /* set by the loop, cleared by the thread */
	uid_t user;
	int fd;
};

static struct disposal disposals[DISPOSALS_MAX];

/* A free place; NULL: the user has too many, or there is none. */
static struct disposal *disposal_find(uid_t user)
{
	struct disposal *free_one = NULL;
	size_t its = 0;

	for (size_t i = 0; i < DISPOSALS_MAX; i++) {
		if (!atomic_load(&disposals[i].under_way))
			free_one = &disposals[i];
		else if (disposals[i].user == user)
			its++;
	}
	return user == 0 || its < DISPOSALS_USER_MAX ? free_one : NULL;
}

bool disposal_has_room(uid_t user)
{
	return disposal_find(user);
}

static void *disposal_run(void *arg)
{
	struct disposal *disposal = arg;

	close(disposal->fd);
	atomic_store(&disposal->under_way, false);
	return NULL;
}

/* 0, or an error number: then nothing was begun. */
static int disposal_begin(struct disposal *disposal)
{
	pthread_attr_t attributes;
	pthread_t thread;
	int err = pthread_attr_init(&attributes);

	if (err)
		return err;
	(void)pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	(void)pthread_attr_setstacksize(&attributes, STACK_SIZE);
	atomic_store(&disposal->under_way, true);
	err = pthread_create(&thread, &attributes, disposal_run, disposal);
	if (err)
		atomic_store(&disposal->under_way, false);
	pthread_attr_destroy(&attributes);
	return err;
}

void disposal_close(int fd, uid_t user)
{
	struct disposal *disposal = disposal_find(user);

	if (disposal) {
		disposal->user = user;
		disposal->fd = fd;
	}
	if (!disposal || disposal_begin(disposal))
		close(fd);
}
