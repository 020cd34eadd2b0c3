/*
 * fkey_catalog.c
 *		The foreign keys that users declared.
 *
 * Where either side is partitioned, the server keeps a constraint for each
 * partition below the declared one; these are folded into it. So are the
 * triggers on the referenced table and its partitions, which are what makes
 * the server run the lookup at all: a foreign key that is not enforced has
 * none, and disabled ones do not fire.
 *
 * Both catalogs are read once from end to end: for thousands of foreign keys
 * that is far cheaper than searching them for each.
 */
#include "advise/advise.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/partition.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_trigger.h"
#include "commands/trigger.h"
#include "miscadmin.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

typedef struct Member
{
	Oid			oid;			/* of a constraint */
	Oid			parent;			/* the constraint above it, if any */
	Oid			table;
	DbopsFkey  *fkey;			/* of a declared one */
} Member;

static void read_constraints(HTAB *members, List **fkeys);
static DbopsFkey *read_fkey(HeapTuple tuple);
static void note_partitions(HTAB *members);
static void note_depths(List *fkeys);
static void read_triggers(HTAB *members);
static Member *declared(HTAB *members, Oid constraint);
static DbopsFkeyFiring trigger_fires(Form_pg_trigger trigger);
static int	compare_fkeys(const ListCell *a, const ListCell *b);

/*
 * Collect the foreign keys in the order in which they are judged: partitioned
 * tables first, roots before what is below them, because their advice reaches
 * tables that come later; then by table; the widest first, whose index may
 * serve narrower ones.
 */
List *
dbops_fkey_collect(void)
{
	HASHCTL		control = {
		.keysize = sizeof(Oid),
		.entrysize = sizeof(Member),
		.hcxt = CurrentMemoryContext
	};
	HTAB	   *members = hash_create("foreign keys", 1024, &control,
									  HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	List	   *fkeys = NIL;

	read_constraints(members, &fkeys);
	note_partitions(members);
	note_depths(fkeys);
	read_triggers(members);
	hash_destroy(members);

	list_sort(fkeys, compare_fkeys);
	return fkeys;
}

static void
read_constraints(HTAB *members, List **fkeys)
{
	Relation	catalog = table_open(ConstraintRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_pg_constraint_contype, BTEqualStrategyNumber, F_CHAREQ,
				CharGetDatum(CONSTRAINT_FOREIGN));
	scan = systable_beginscan(catalog, InvalidOid, false, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_constraint form = (Form_pg_constraint) GETSTRUCT(tuple);
		Member	   *member = hash_search(members, &form->oid, HASH_ENTER, NULL);

		CHECK_FOR_INTERRUPTS();
		member->parent = form->conparentid;
		member->table = form->conrelid;
		member->fkey = OidIsValid(form->conparentid) ? NULL : read_fkey(tuple);
		if (member->fkey != NULL)
			*fkeys = lappend(*fkeys, member->fkey);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
}

static DbopsFkey *
read_fkey(HeapTuple tuple)
{
	Form_pg_constraint form = (Form_pg_constraint) GETSTRUCT(tuple);
	int			npairs;
	AttrNumber	columns[INDEX_MAX_KEYS];
	AttrNumber	referenced[INDEX_MAX_KEYS];
	Oid			equalities[INDEX_MAX_KEYS];
	DbopsFkey  *fkey;

	DeconstructFkConstraintRow(tuple, &npairs, columns, referenced, equalities,
							   NULL, NULL, NULL, NULL);
	fkey = palloc0(offsetof(DbopsFkey, pairs) + sizeof(DbopsFkeyPair) * npairs);
	fkey->oid = form->oid;
	fkey->table = form->conrelid;
	fkey->referenced = form->confrelid;
	fkey->name = form->conname;
	fkey->on_delete = form->confdeltype;
	fkey->on_update = form->confupdtype;
	fkey->npairs = npairs;
	for (int i = 0; i < npairs; i++)
	{
		fkey->pairs[i].column = columns[i];
		fkey->pairs[i].referenced = referenced[i];
		fkey->pairs[i].equality = equalities[i];
	}
	return fkey;
}

/*
 * Note which referencing tables have partitions: a constraint below the
 * declared one is on another table. Those for partitions of the referenced
 * side are on the same one.
 */
static void
note_partitions(HTAB *members)
{
	HASH_SEQ_STATUS all;
	Member	   *member;

	hash_seq_init(&all, members);
	while ((member = hash_seq_search(&all)) != NULL)
	{
		Member	   *top = declared(members, member->oid);

		if (top != NULL && top->table != member->table)
			top->fkey->partitioned = true;
	}
}

/* Note how deep partitioned tables are in their trees. */
static void
note_depths(List *fkeys)
{
	ListCell   *cell;

	foreach(cell, fkeys)
	{
		DbopsFkey  *fkey = lfirst(cell);

		CHECK_FOR_INTERRUPTS();
		if (fkey->partitioned && get_rel_relispartition(fkey->table))
			fkey->depth = list_length(get_partition_ancestors(fkey->table));
	}
}

/* Note which foreign keys have triggers that fire, and when. */
static void
read_triggers(HTAB *members)
{
	Relation	catalog = table_open(TriggerRelationId, AccessShareLock);
	SysScanDesc scan = systable_beginscan(catalog, InvalidOid, false, NULL, 0, NULL);
	HeapTuple	tuple;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_trigger form = (Form_pg_trigger) GETSTRUCT(tuple);
		DbopsFkeyFiring firing = trigger_fires(form);
		Member	   *top;

		CHECK_FOR_INTERRUPTS();
		if (firing == DBOPS_FIRES_NEVER)
			continue;
		top = declared(members, form->tgconstraint);
		if (top != NULL)
			top->fkey->firing = Max(top->fkey->firing, firing);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
}

/* Find the declared constraint that a constraint belongs to. */
static Member *
declared(HTAB *members, Oid constraint)
{
	Member	   *member = hash_search(members, &constraint, HASH_FIND, NULL);

	while (member != NULL && OidIsValid(member->parent))
		member = hash_search(members, &member->parent, HASH_FIND, NULL);
	return member;
}

/* Say when a trigger runs a foreign key's lookup; others never do. */
static DbopsFkeyFiring
trigger_fires(Form_pg_trigger trigger)
{
	if (trigger->tgenabled == TRIGGER_DISABLED ||
		RI_FKey_trigger_type(trigger->tgfoid) != RI_TRIGGER_PK)
		return DBOPS_FIRES_NEVER;
	return trigger->tgenabled == TRIGGER_FIRES_ON_REPLICA ?
		DBOPS_FIRES_IN_REPLICATION : DBOPS_FIRES;
}

static int
compare_fkeys(const ListCell *a, const ListCell *b)
{
	const DbopsFkey *x = lfirst(a);
	const DbopsFkey *y = lfirst(b);

	if (x->partitioned != y->partitioned)
		return x->partitioned ? -1 : 1;
	if (x->depth != y->depth)
		return x->depth - y->depth;
	if (x->table != y->table)
		return x->table < y->table ? -1 : 1;
	if (x->npairs != y->npairs)
		return x->npairs > y->npairs ? -1 : 1;
	return (x->oid > y->oid) - (x->oid < y->oid);
}
