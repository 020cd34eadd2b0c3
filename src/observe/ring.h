/*
 * ring.h
 *		How samples stand in memory, for the ring and for what becomes of it at a restart.
 */
#ifndef DBOPS_RING_H
#define DBOPS_RING_H

#include "observe/history.h"

/* When a sample was taken; its values stand apart. */
typedef struct Mark
{
	TimestampTz at;
	TimestampTz counted;		/* when its figures of statements were */
	TimestampTz epoch;
	int			cadence;
} Mark;

typedef struct Supply
{
	double		value;
	TimestampTz at;				/* 0: none */
} Supply;

typedef struct Track
{
	Oid			database;		/* InvalidOid: of the cluster, or free */
	TimestampTz active;			/* when somebody was last there */
	bool		current;		/* a sample has come since the server was started */
	int			next;			/* place of the next sample */
	int			n;
	Mark		marks[RING_TICKS];
	Supply		supplies[N_MOST_METRICS];
} Track;

typedef struct Ring
{
	Track		tracks[1 + RING_DATABASES]; /* the cluster's first */
	double		cluster[RING_TICKS][N_CLUSTER_METRICS];
	double		databases[RING_DATABASES][RING_TICKS][N_DATABASE_METRICS];
} Ring;

/* ---- ring_restart.c ---- */

extern void dbops_ring_prepare(void *place);

#endif							/* DBOPS_RING_H */
