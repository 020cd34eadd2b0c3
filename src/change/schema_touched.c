/*
 * schema_touched.c
 *		Which objects this transaction may have changed since a moment.
 *
 * A large schema takes seconds to be described, and a migration touches little
 * of it. What it touched is read from the rows of the catalogs themselves: it
 * has left an object as it was if no row that is read for it is visible to one of
 * two snapshots and not to the other, and was written or deleted by this
 * transaction. That sees whatever came about, by whichever statement or function,
 * and nothing of what others have committed meanwhile. The snapshot of the
 * earlier moment must be registered, so that nothing that it sees is removed.
 *
 * Of a row two things are known: whose it is, and whether other objects are
 * written with what it says, as a view is with the names of a table's columns;
 * then those that depend on it are counted as touched, too. Too many objects
 * do no harm, so numbers are not kept apart by catalog. Objects of catalogs of
 * which this is not known, such as those of operators, are of kinds that are
 * always described whole; what depends on them may have changed where they have.
 *
 * Pages on which all rows are visible to everyone have not changed, so that
 * the cost is that of what changed since the last vacuum.
 */
#include "change/schema.h"

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/visibilitymap.h"
#include "access/xact.h"
#include "catalog/catalog.h"
#include "catalog/pg_aggregate.h"
#include "catalog/pg_attrdef.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_auth_members.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_conversion.h"
#include "catalog/pg_database.h"
#include "catalog/pg_db_role_setting.h"
#include "catalog/pg_default_acl.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_description.h"
#include "catalog/pg_enum.h"
#include "catalog/pg_event_trigger.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_foreign_table.h"
#include "catalog/pg_index.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_init_privs.h"
#include "catalog/pg_largeobject.h"
#include "catalog/pg_largeobject_metadata.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_partitioned_table.h"
#include "catalog/pg_policy.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_publication.h"
#include "catalog/pg_publication_namespace.h"
#include "catalog/pg_publication_rel.h"
#include "catalog/pg_range.h"
#include "catalog/pg_replication_origin.h"
#include "catalog/pg_rewrite.h"
#include "catalog/pg_seclabel.h"
#include "catalog/pg_sequence.h"
#include "catalog/pg_shdepend.h"
#include "catalog/pg_shdescription.h"
#include "catalog/pg_statistic.h"
#include "catalog/pg_statistic_ext.h"
#include "catalog/pg_statistic_ext_data.h"
#include "catalog/pg_subscription.h"
#include "catalog/pg_subscription_rel.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "catalog/pg_user_mapping.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "utils/array.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

/* With more it is not worth the while to leave the others out. */
#define MOST_TOUCHED 1000

/* Catalogs whose rows are known to belong to an object. */
typedef struct Owning
{
	Oid			catalog;
	Oid			named;			/* catalog of the object, the first, with whose names others are written; or 0 */
	AttrNumber	schema;			/* column with the number of its schema; or 0 */
	AttrNumber	objects[3];		/* columns with numbers of objects */
} Owning;

static const Owning owning[] = {
	{RelationRelationId, RelationRelationId, Anum_pg_class_relnamespace, {Anum_pg_class_oid, Anum_pg_class_reltype}},
	{AttributeRelationId, RelationRelationId, 0, {Anum_pg_attribute_attrelid}},
	{TypeRelationId, TypeRelationId, Anum_pg_type_typnamespace, {Anum_pg_type_oid, Anum_pg_type_typrelid}},
	{EnumRelationId, TypeRelationId, 0, {Anum_pg_enum_enumtypid}},
	{ProcedureRelationId, ProcedureRelationId, Anum_pg_proc_pronamespace, {Anum_pg_proc_oid}},
	{AggregateRelationId, 0, 0, {Anum_pg_aggregate_aggfnoid}},
	{AttrDefaultRelationId, 0, 0, {Anum_pg_attrdef_adrelid}},
	{ConstraintRelationId, 0, 0, {Anum_pg_constraint_conrelid, Anum_pg_constraint_confrelid, Anum_pg_constraint_contypid}},
	{DependRelationId, 0, 0, {Anum_pg_depend_objid}},
	{DescriptionRelationId, 0, 0, {Anum_pg_description_objoid}},
	{ForeignTableRelationId, 0, 0, {Anum_pg_foreign_table_ftrelid}},
	{IndexRelationId, 0, 0, {Anum_pg_index_indrelid}},
	{InheritsRelationId, 0, 0, {Anum_pg_inherits_inhrelid, Anum_pg_inherits_inhparent}},
	{PartitionedRelationId, 0, 0, {Anum_pg_partitioned_table_partrelid}},
	{PolicyRelationId, 0, 0, {Anum_pg_policy_polrelid}},
	{RangeRelationId, 0, 0, {Anum_pg_range_rngtypid, Anum_pg_range_rngmultitypid}},
	{RewriteRelationId, 0, 0, {Anum_pg_rewrite_ev_class}},
	{SequenceRelationId, 0, 0, {Anum_pg_sequence_seqrelid}},
	{StatisticExtRelationId, 0, 0, {Anum_pg_statistic_ext_stxrelid}},
	{TriggerRelationId, 0, 0, {Anum_pg_trigger_tgrelid, Anum_pg_trigger_tgconstrrelid}},
};

/*
 * Catalogs whose names stand in what is written of many objects that do not
 * all depend on them; what else they hold does not matter to these.
 */
typedef struct Naming
{
	Oid			catalog;
	AttrNumber	number;
	AttrNumber	name;
} Naming;

static const Naming naming[] = {
	{NamespaceRelationId, Anum_pg_namespace_oid, Anum_pg_namespace_nspname},
	{AuthIdRelationId, Anum_pg_authid_oid, Anum_pg_authid_rolname},
};

/* Catalogs that are read for no object of a kind that is chosen by number, or for none at all. */
static const Oid unread[] = {
	AuthMemRelationId, ConversionRelationId, DatabaseRelationId, DbRoleSettingRelationId,
	DefaultAclRelationId, EventTriggerRelationId, ExtensionRelationId, InitPrivsRelationId,
	LargeObjectRelationId, LargeObjectMetadataRelationId, PublicationRelationId,
	PublicationNamespaceRelationId, PublicationRelRelationId, ReplicationOriginRelationId,
	SecLabelRelationId, SharedDependRelationId, SharedDescriptionRelationId, StatisticRelationId,
	StatisticExtDataRelationId, SubscriptionRelationId, SubscriptionRelRelationId,
	UserMappingRelationId
};

/* Catalogs of objects with whose names others are written, which are written with others' names in turn. */
static const Oid named_catalogs[] = {RelationRelationId, TypeRelationId, ProcedureRelationId};

/* An object with whose name others are written. */
typedef struct Named
{
	Oid			catalog;
	Oid			number;
} Named;

/* What a namespace or role was called. */
typedef struct OldName
{
	Oid			catalog;
	Oid			number;
	NameData	name;
} OldName;

/* A search that is going on. */
typedef struct Search
{
	Snapshot	old;
	Snapshot	new;
	const Owning *owning;		/* what is known of the catalog at hand; or NULL */
	const Naming *naming;
	SchemaTouched touched;
	Oid			catalog;		/* at hand */
	HTAB	   *seen;			/* of Named: those that are in named */
	List	   *named;			/* of Named *: those with whose names others are written */
	int			followed;		/* of them, from the first on: what depends on these was added */
	List	   *old_names;		/* of OldName * */
} Search;

static HTAB *seen_table(void);
static List *catalogs(void);
static void take_number(HeapTuple row, TupleDesc desc, void *arg);
static bool is_unread(Oid catalog);
static void search_catalog(Search *search, Oid number);
static void search_page(Search *search, Relation catalog, BlockNumber block);
static void take_row(Search *search, TupleDesc desc, HeapTuple row, bool is_old);
static bool is_ours(HeapTupleHeader row, bool is_old);
static void take_other(Search *search, TupleDesc desc, HeapTuple row);
static Oid	oid_of(TupleDesc desc, HeapTuple row, AttrNumber column);
static void take_object(Search *search, Oid named, Oid number);
static void take_named(Search *search, Oid catalog, Oid number);
static void check_names(Search *search);
static void add_dependents(Search *search);
static void follow(Search *search, int first);
static void take_dependent(HeapTuple row, TupleDesc desc, void *arg);
static void add_wholes(Search *search);
static void take_whole(HeapTuple row, TupleDesc desc, void *arg);
static void sort_out(Search *search);

/*
 * Find what may have changed since a snapshot. What the transaction has done
 * since is seen. Some objects count as touched in any case.
 */
SchemaTouched
dbops_schema_touched(Snapshot since, const List *always)
{
	Search		search = {.old = since,.touched.numbers = list_copy(always),.seen = seen_table()};
	List	   *all;
	ListCell   *cell;

	CommandCounterIncrement();
	search.new = RegisterSnapshot(GetLatestSnapshot());
	PushActiveSnapshot(search.new);
	all = catalogs();
	foreach(cell, all)
	{
		if (!search.touched.anything && !is_unread(lfirst_oid(cell)))
			search_catalog(&search, lfirst_oid(cell));
	}
	if (!search.touched.anything)
		check_names(&search);
	if (!search.touched.anything)
		add_dependents(&search);
	if (!search.touched.anything)
		add_wholes(&search);
	sort_out(&search);
	PopActiveSnapshot();
	UnregisterSnapshot(search.new);
	hash_destroy(search.seen);
	return search.touched;
}

static HTAB *
seen_table(void)
{
	HASHCTL		control = {.keysize = sizeof(Named),.entrysize = sizeof(Named),.hcxt = CurrentMemoryContext};

	return hash_create("objects with whose names others are written", 256, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

/* All that the server has, so that one that is new in a major is not passed over. */
static List *
catalogs(void)
{
	List	   *numbers = NIL;

	dbops_query_seen("SELECT oid FROM pg_class WHERE relnamespace = 'pg_catalog'::regnamespace AND relkind = 'r'",
					 0, NULL, take_number, &numbers);
	return numbers;
}

static void
take_number(HeapTuple row, TupleDesc desc, void *arg)
{
	List	  **numbers = arg;

	*numbers = lappend_oid(*numbers, oid_of(desc, row, 1));
}

static bool
is_unread(Oid catalog)
{
	for (int i = 0; i < lengthof(unread); i++)
		if (unread[i] == catalog)
			return true;
	return false;
}

/* Look at the pages that may hold rows that came or went. */
static void
search_catalog(Search *search, Oid number)
{
	Relation	catalog = table_open(number, AccessShareLock);
	BlockNumber blocks = RelationGetNumberOfBlocks(catalog);
	Buffer		map = InvalidBuffer;

	search->catalog = number;
	search->owning = NULL;
	search->naming = NULL;
	for (int i = 0; i < lengthof(owning); i++)
		if (owning[i].catalog == number)
			search->owning = &owning[i];
	for (int i = 0; i < lengthof(naming); i++)
		if (naming[i].catalog == number)
			search->naming = &naming[i];
	for (BlockNumber block = 0; block < blocks && !search->touched.anything; block++)
	{
		CHECK_FOR_INTERRUPTS();
		if ((visibilitymap_get_status(catalog, block, &map) & VISIBILITYMAP_ALL_VISIBLE) == 0)
			search_page(search, catalog, block);
	}
	if (BufferIsValid(map))
		ReleaseBuffer(map);
	table_close(catalog, AccessShareLock);
}

static void
search_page(Search *search, Relation catalog, BlockNumber block)
{
	Buffer		buffer = ReadBuffer(catalog, block);
	Page		page;

	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	page = BufferGetPage(buffer);
	for (OffsetNumber i = FirstOffsetNumber; i <= PageGetMaxOffsetNumber(page); i++)
	{
		ItemId		item = PageGetItemId(page, i);
		HeapTupleData row;
		bool		is_old;

		if (!ItemIdIsNormal(item))
			continue;
		row.t_data = (HeapTupleHeader) PageGetItem(page, item);
		row.t_len = ItemIdGetLength(item);
		row.t_tableOid = RelationGetRelid(catalog);
		ItemPointerSet(&row.t_self, block, i);
		is_old = HeapTupleSatisfiesVisibility(&row, search->old, buffer);
		if (is_old != HeapTupleSatisfiesVisibility(&row, search->new, buffer))
			take_row(search, RelationGetDescr(catalog), &row, is_old);
	}
	UnlockReleaseBuffer(buffer);
}

/* A row has come, or has gone. Its page is locked, so nothing is looked up here. */
static void
take_row(Search *search, TupleDesc desc, HeapTuple row, bool is_old)
{
	const Owning *known = search->owning;

	if (!is_ours(row->t_data, is_old))
		return;
	if (search->naming != NULL)
	{
		OldName    *old = palloc(sizeof(OldName));
		bool		isnull;

		*old = (OldName) {.catalog = search->naming->catalog,.number = oid_of(desc, row, search->naming->number)};
		old->name = *DatumGetName(heap_getattr(row, search->naming->name, desc, &isnull));
		if (is_old)
			search->old_names = lappend(search->old_names, old);
		return;
	}
	if (known == NULL)
	{
		if (is_old)
			take_other(search, desc, row);
		return;
	}
	search->touched.anything |= (known->schema != 0 && oid_of(desc, row, known->schema) == PG_CATALOG_NAMESPACE);
	for (int i = 0; i < lengthof(known->objects) && known->objects[i] != 0; i++)
		take_object(search, i == 0 ? known->named : InvalidOid, oid_of(desc, row, known->objects[i]));
}

/* Has this transaction written the row, or deleted it? */
static bool
is_ours(HeapTupleHeader row, bool is_old)
{
	return TransactionIdIsCurrentTransactionId(is_old ? HeapTupleHeaderGetUpdateXid(row) : HeapTupleHeaderGetXmin(row));
}

/* An object of a catalog of which no more is known has another name perhaps; nothing records who uses those of the cluster. */
static void
take_other(Search *search, TupleDesc desc, HeapTuple row)
{
	if (IsSharedRelation(search->catalog))
		search->touched.anything = true;
	else if (strcmp(NameStr(TupleDescAttr(desc, 0)->attname), "oid") == 0)
		take_named(search, search->catalog, oid_of(desc, row, 1));
}

static Oid
oid_of(TupleDesc desc, HeapTuple row, AttrNumber column)
{
	bool		isnull;
	Datum		value = heap_getattr(row, column, desc, &isnull);

	return isnull ? InvalidOid : DatumGetObjectId(value);
}

/* Take an object; and what depends on it later, if others are written with its names. */
static void
take_object(Search *search, Oid named, Oid number)
{
	if (!OidIsValid(number))
		return;
	search->touched.numbers = lappend_oid(search->touched.numbers, number);
	if (OidIsValid(named))
		take_named(search, named, number);
	search->touched.anything |= (list_length(search->touched.numbers) > MOST_TOUCHED * 100);
}

static void
take_named(Search *search, Oid catalog, Oid number)
{
	Named		key = {catalog, number};
	Named	   *entry;
	bool		found;

	entry = hash_search(search->seen, &key, HASH_ENTER, &found);
	if (!found)
		search->named = lappend(search->named, entry);
	/* What depends on the server's own objects is not recorded. */
	search->touched.anything |= (number < FirstNormalObjectId);
}

/* One that has got another name, or is gone, touches all that is written with it. */
static void
check_names(Search *search)
{
	ListCell   *cell;

	foreach(cell, search->old_names)
	{
		const OldName *old = lfirst(cell);
		const char *name = (old->catalog == NamespaceRelationId) ? get_namespace_name(old->number) :
			GetUserNameFromId(old->number, true);

		search->touched.anything |= (name == NULL || strcmp(name, NameStr(old->name)) != 0);
	}
}

/*
 * Add what is written with the names of what is touched, and what depends on
 * that in turn: a view on a function shows the columns of what that returns.
 */
static void
add_dependents(Search *search)
{
	sort_out(search);
	while (search->followed < list_length(search->named) && !search->touched.anything)
	{
		int			first = search->followed;

		search->followed = list_length(search->named);
		follow(search, first);
		sort_out(search);
	}
}

/* Add what depends on those from the first on. */
static void
follow(Search *search, int first)
{
	List	   *catalogs = NIL;
	List	   *numbers = NIL;
	DbopsParam	params[2];

	for (int i = first; i < list_length(search->named); i++)
	{
		const Named *named = list_nth(search->named, i);

		catalogs = lappend_oid(catalogs, named->catalog);
		numbers = lappend_oid(numbers, named->number);
	}
	params[0] = dbops_param_oids(catalogs);
	params[1] = dbops_param_oids(numbers);
	dbops_query_seen("SELECT d.classid, d.objid FROM unnest($1, $2) AS n (catalog, number)"
					 " JOIN pg_depend d ON d.refclassid = n.catalog AND d.refobjid = n.number",
					 lengthof(params), params, take_dependent, search);
}

static void
take_dependent(HeapTuple row, TupleDesc desc, void *arg)
{
	Oid			catalog = oid_of(desc, row, 1);
	bool		is_named = false;

	for (int i = 0; i < lengthof(named_catalogs); i++)
		is_named |= (named_catalogs[i] == catalog);
	take_object(arg, is_named ? catalog : InvalidOid, oid_of(desc, row, 2));
}

/* Add the objects that what is touched is part of. */
static void
add_wholes(Search *search)
{
	DbopsParam	parts = dbops_param_oids(search->touched.numbers);

	dbops_query_seen("SELECT indrelid FROM pg_index WHERE indexrelid = ANY ($1)"
					 " UNION ALL SELECT unnest(ARRAY[conrelid, contypid]) FROM pg_constraint WHERE oid = ANY ($1)"
					 " UNION ALL SELECT tgrelid FROM pg_trigger WHERE oid = ANY ($1)"
					 " UNION ALL SELECT polrelid FROM pg_policy WHERE oid = ANY ($1)"
					 " UNION ALL SELECT ev_class FROM pg_rewrite WHERE oid = ANY ($1)"
					 " UNION ALL SELECT adrelid FROM pg_attrdef WHERE oid = ANY ($1)"
					 " UNION ALL SELECT stxrelid FROM pg_statistic_ext WHERE oid = ANY ($1)"
					 " UNION ALL SELECT reltype FROM pg_class WHERE oid = ANY ($1)"
					 /* The table of a TOAST table, and its indexes. */
					 " UNION ALL SELECT refobjid FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = ANY ($1)"
					 " AND refclassid = 'pg_class'::regclass AND deptype IN ('i', 'a')",
					 1, &parts, take_whole, search);
}

static void
take_whole(HeapTuple row, TupleDesc desc, void *arg)
{
	take_object(arg, InvalidOid, oid_of(desc, row, 1));
}

/* Have each number once, in order, if they are few enough. */
static void
sort_out(Search *search)
{
	list_sort(search->touched.numbers, list_oid_cmp);
	list_deduplicate_oid(search->touched.numbers);
	search->touched.anything |= (list_length(search->touched.numbers) > MOST_TOUCHED);
}

bool
dbops_schema_is_touched(const SchemaTouched *touched, Oid number)
{
	int			low = 0;
	int			high = list_length(touched->numbers);

	while (low < high)
	{
		int			middle = (low + high) / 2;

		if (list_nth_oid(touched->numbers, middle) < number)
			low = middle + 1;
		else
			high = middle;
	}
	return touched->anything ||
		(low < list_length(touched->numbers) && list_nth_oid(touched->numbers, low) == number);
}

