/*
 * ring_restart.c
 *		The samples of the last hour, across a restart.
 *
 * What was not written to history yet, which elsewhere than in the home database
 * is up to ten minutes, would be lost with each restart of the server, and whoever
 * asks for the last hour would get none. So it is kept where the server keeps its
 * own statistics: then most counters go on, and where one has begun anew it is
 * lower. Samples since the start have another epoch, which marks a reset where they
 * follow the others, and no window reaches back beyond it. Where the server's
 * statistics were lost, as after a crash, so is this.
 */
#include "observe/ring.h"

#include <sys/stat.h>

#include "pgstat.h"

static Size keep(void *piece);
static bool is_sound(void *piece, Size size, TimestampTz stopped);
static bool server_keeps_its_own(void);
static bool is_sound_track(const Track *track);

static DbopsKeptMemory kept_memory = {
	.file_name = "dbops.samples",.version = 1,.size = sizeof(Ring),.keep = keep,.is_sound = is_sound
};

/* Fill it as the server starts, before that reads what it has kept itself. */
void
dbops_ring_prepare(void *place)
{
	Ring	   *ring = place;

	if (!dbops_memory_restore(&kept_memory, ring))
		return;
	for (int i = 0; i <= RING_DATABASES; i++)
	{
		ring->tracks[i].current = false;
		memset(ring->tracks[i].supplies, 0, sizeof(ring->tracks[i].supplies));
	}
}

/* Nothing, if there is nothing, or the server was stopped at once, maybe while somebody was writing here. */
static Size
keep(void *piece)
{
	const Ring *ring = piece;

	return (ring->tracks[0].n > 0 && server_keeps_its_own()) ? sizeof(Ring) : 0;
}

static bool
is_sound(void *piece, Size size, TimestampTz stopped)
{
	const Ring *ring = piece;

	if (size != sizeof(Ring) || !server_keeps_its_own())
		return false;
	for (int i = 0; i <= RING_DATABASES; i++)
		if (!is_sound_track(&ring->tracks[i]))
			return false;
	return true;
}

/* The statistics of the server: they are there from its clean shutdown until the next start has read them. */
static bool
server_keeps_its_own(void)
{
	struct stat status;

	return stat(PGSTAT_STAT_PERMANENT_FILENAME, &status) == 0;
}

static bool
is_sound_track(const Track *track)
{
	return track->next >= 0 && track->next < RING_TICKS && track->n >= 0 && track->n <= RING_TICKS;
}
