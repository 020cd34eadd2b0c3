/*
 * index_advice.h
 *		Which indexes are of no use, and what must be known before one is dropped.
 *
 * Reports and reviews share one list of indexes (index_catalog.c), what was
 * counted of them on which nodes (index_nodes.c) and where that is not known
 * (index_unseen.c), and the reasons why somebody needs one (index_needs.c). Each kind of advice returns IndexAdvice, which
 * index_advice.c turns into rows.
 */
#ifndef DBOPS_INDEX_ADVICE_H
#define DBOPS_INDEX_ADVICE_H

#include "advise/advise.h"

/* ---- index_catalog.c: the indexes of users' tables, as the catalogs list them ---- */

typedef struct IndexEntry
{
	Oid			oid;
	Oid			table;
	const char *name;			/* qualified and quoted, as in SQL */
	const char *schema;			/* that it and its table are in */
	Oid			method;
	bool		partitioned;	/* has no file: its partitions' indexes have */
	Oid			parent;			/* the partitioned index that it is attached to; or InvalidOid */
	List	   *children;		/* of IndexEntry *: attached to it */
	Oid			table_parent;	/* the table that its table is a partition or a child of; or InvalidOid */
	bool		others_temporary;	/* of another session's temporary table */
	bool		unique;
	bool		exclusion;
	bool		has_expressions;
	bool		valid;
	bool		ready;
	bool		live;
	bool		replica_identity;
	bool		clustered;		/* CLUSTER goes by it */
	const char *constraint;		/* that it enforces, quoted; or NULL */
	const char *part_constraint;	/* that only a part of it enforces: a partition's index; or NULL */
	const char *referenced_by;	/* a foreign key that refers to its columns, quoted; or NULL */
} IndexEntry;

extern List *dbops_indexes_list(const List *tables);
extern List *dbops_indexes_list_among(const List *tables);
extern List *dbops_indexes_invalid(void);
extern List *dbops_index_leaves(IndexEntry *entry);
extern int64 dbops_index_bytes(IndexEntry *entry);
extern const char *dbops_index_table_name(const IndexEntry *entry);

/* ---- index_nodes.c: how often indexes were scanned, here and on other nodes ---- */

typedef struct IndexCounters
{
	int64		scans;
	int64		tuples_read;	/* entries of the index */
	int64		tuples_fetched; /* rows of the table */
	int64		live_rows;		/* of a table: that it has */
	TimestampTz last_scan;		/* 0: never, or not known */
	bool		undated;		/* it was scanned on a node that does not say when */
} IndexCounters;

#define THIS_SERVER			"this server"
#define DBOPS_IMPORT_DAYS	7	/* an older import does not say that something is unused */

typedef struct IndexNodes
{
	TimestampTz now;
	List	   *names;			/* of char *: whose counters are known */
	List	   *imports;		/* of these the other nodes */
	List	   *behind;			/* of char *: standbys that these feed, as they told */
	TimestampTz since;			/* all of them have counted; 0: not known */
	const char *since_why;		/* what happened then, as a phrase */
	TimestampTz until;			/* all of them have counted */
	const char *blind;			/* why the counters cannot be trusted, as a clause; or NULL */
	HTAB	   *imported;		/* of other nodes, by index */
} IndexNodes;

extern IndexNodes *dbops_index_nodes_read(void);
extern IndexCounters dbops_index_counters(const IndexNodes *nodes, IndexEntry *entry);
extern IndexCounters dbops_index_counters_here(IndexEntry *entry);
extern const char *dbops_index_scanned_elsewhere(const IndexNodes *nodes, IndexEntry *entry);
extern bool dbops_index_is_scanned(const IndexCounters *counters);
extern void dbops_relation_counters_add(Oid relation, IndexCounters *sum);
extern TimestampTz dbops_counting_since(const char **why);
extern TimestampTz dbops_counters_since(void);
extern TimestampTz dbops_counters_reset(void);

/* ---- index_unseen.c: who may scan indexes and is not known ---- */

extern void dbops_index_unseen_init(void);
extern void dbops_index_find_unseen(IndexNodes *nodes);
extern const char *dbops_index_uncounted(void);
extern List *dbops_index_readers(void);

/* ---- index_age.c: since when there is an index, at least ---- */

extern TimestampTz dbops_index_file_since(Oid index);
extern TimestampTz dbops_file_since(const char *path);

/* ---- index_siblings.c: indexes by the same columns of other partitions ---- */

extern HTAB *dbops_index_siblings(const IndexNodes *nodes, const List *entries, TimestampTz since);
extern bool dbops_index_has_sibling(HTAB *siblings, const IndexEntry *entry);

/* ---- index_needs.c: who needs an index, whether it is scanned or not ---- */

typedef struct IndexNeeds IndexNeeds;

/* How a foreign key finds its rows by an index. */
typedef enum FkeyService
{
	SERVES_ALONE,				/* no other index that stays does */
	SERVES,						/* others may, too */
	WOULD_SERVE					/* alone, were it valid */
} FkeyService;

extern IndexNeeds *dbops_index_needs_begin(void);
extern void dbops_index_needs_end(IndexNeeds *needs);
extern const char *dbops_index_enforces(const IndexEntry *entry);
extern const char *dbops_index_serves_fkey(IndexNeeds *needs, IndexEntry *entry, FkeyService service);
extern void dbops_index_needs_drop(IndexNeeds *needs, IndexEntry *entry);

/* ---- index_redundancy.c: whether one index does all that another one does ---- */

typedef enum IndexRedundancy
{
	INDEX_NEEDED,
	INDEX_SAME,					/* the other one is the same */
	INDEX_REVERSED,				/* the same, read backward */
	INDEX_BESIDE_UNIQUE,		/* the same, and enforces uniqueness too */
	INDEX_COVERED,				/* has the same keys, and includes more */
	INDEX_PREFIX				/* begins with the same keys */
} IndexRedundancy;

extern IndexRedundancy dbops_index_redundancy(const DbopsIndex *index, const DbopsIndex *other);
extern const char *dbops_redundancy_name(IndexRedundancy redundancy);

/* ---- index_advice.c: what is said about one index ---- */

typedef enum IndexSafety
{
	DROP_UNKNOWN,
	DROP_NO,
	DROP_YES
} IndexSafety;

typedef struct IndexAdvice
{
	IndexEntry *index;
	const char *kind;			/* of the finding, in a word or two; or NULL */
	IndexEntry *other;			/* that does what it does; or NULL */
	int64		bytes;			/* -1: not known */
	IndexCounters counters;
	TimestampTz observed_since; /* 0: not known */
	const char *backs;			/* what needs it, as a phrase; or NULL */
	IndexSafety safe;
	const char *reason;			/* why it is, or is not, safe to drop */
	const char *statement;		/* that drops it; NULL unless that is safe */
} IndexAdvice;

extern IndexAdvice *dbops_index_advice(IndexEntry *entry, const IndexNodes *nodes);
extern bool dbops_index_was_used(const IndexCounters *counters, TimestampTz since);
extern bool dbops_index_was_watched(const IndexAdvice *advice, const IndexNodes *nodes, int64 time_us);
extern void dbops_index_verdict(IndexAdvice *advice, IndexSafety safe, const char *reason);
extern void dbops_index_advice_put(ReturnSetInfo *rsinfo, const IndexAdvice *advice,
								   const IndexNodes *nodes, bool kind, bool other);
extern int	dbops_index_advice_by_size(const ListCell *a, const ListCell *b);

/* ---- the reports, for who judges what they find: lists of IndexAdvice * ---- */

extern List *dbops_invalid_indexes(const IndexNodes *nodes);
extern List *dbops_duplicate_indexes(const IndexNodes *nodes);
extern List *dbops_unused_indexes(const IndexNodes *nodes, int64 min_bytes, int64 unused_for_ms);

#endif							/* DBOPS_INDEX_ADVICE_H */
