/*
 * alert_news.c
 *		What has happened to alerts, until it has been written down and told.
 *
 * Whoever judges puts it here; the database concerned takes it, and home, if it
 * is another, hears of it. News that do not fit are not lost for good: their
 * alert is again as if it had not been told of them, so that the next look tells
 * it. Those give way that nobody has taken for a while; younger ones may just be
 * on their way, and would be told twice.
 */
#include "observe/alert_memory.h"
#include "observe/shared_text.h"

#define DELIVERED_WITHIN	60	/* s in which who takes news has written them down */

static AlertNews *fill(AlertNews *news, const AlertEntry *entry, const AlertStep *step, const List *details, TimestampTz now);
static AlertNews *free_news(TimestampTz before);
static void take_back(const AlertNews *news);
static int	pack(char *place, const List *details);
static int	by_number(const ListCell *a, const ListCell *b);
static void take_news(const AlertNews *taken, bool own, bool home);

/*
 * Have what happened to an alert written down and told. Which database is home
 * may not be known yet, or change until then, so that home is asked in any case.
 * Returns whether there was room.
 */
bool
dbops_alert_announce(const AlertEntry *entry, const AlertStep *step, const List *details,
							TimestampTz now)
{
	AlertNews  *news = free_news(now - DELIVERED_WITHIN * USECS_PER_SEC);

	if (news == NULL)
		return false;
	fill(news, entry, step, details, now);
	news->for_own = true;
	news->for_home = OidIsValid(entry->database) && !dbops_alert_memory_is_own();
	return true;
}

/*
 * Have home hear that an alert of a database is over for it, since another one
 * stands for it from now on. In its own database it goes on.
 */
void
dbops_alert_announce_taken_in(const AlertEntry *entry, const char *group, TimestampTz now)
{
	AlertStep	step = {.event = ALERT_ENDS,.tell = true,.before = entry->alert.told};
	AlertEntry	over = *entry;

	over.alert.state = ALERT_RESOLVED;
	over.alert.resolved_at = now;
	dbops_shared_text_put(over.message, psprintf("is one of the alerts that %s stands for", group), ALERT_TEXT_BYTES);
	fill(free_news(DT_NOEND), &over, &step, NIL, now)->handed = true;
}

/* Have home hear of an alert that another one stood for until now. */
void
dbops_alert_announce_given_back(const AlertEntry *entry, TimestampTz now)
{
	AlertStep	step = {.event = ALERT_FIRES,.tell = true,.before = DBOPS_OK};

	fill(free_news(DT_NOEND), entry, &step, list_make1(pstrdup(entry->message)), now)->handed = true;
}

/* For home alone, so far. */
static AlertNews *
fill(AlertNews *news, const AlertEntry *entry, const AlertStep *step, const List *details, TimestampTz now)
{
	news->number = dbops_alert_memory()->next_number++;
	news->at = now;
	news->step = *step;
	news->entry = *entry;
	news->for_own = false;
	news->for_home = true;
	news->handed = false;
	news->detail_bytes = pack(news->details, details);
	return news;
}

/* A free place, if need be by losing the oldest, where that is from before a time. NULL: there is none. */
static AlertNews *
free_news(TimestampTz before)
{
	AlertMemory *alerts = dbops_alert_memory();
	AlertNews  *oldest = &alerts->news[0];

	for (int i = 0; i < NEWS; i++)
	{
		if (alerts->news[i].number == 0)
			return &alerts->news[i];
		if (alerts->news[i].number < oldest->number)
			oldest = &alerts->news[i];
	}
	if (oldest->at >= before)
		return NULL;
	if (oldest->for_own)
		take_back(oldest);
	return oldest;
}

/* What is not delivered has not been told: have the next look at its alert tell the difference. */
static void
take_back(const AlertNews *news)
{
	AlertEntry *entry = dbops_alert_memory_find(news->entry.database, dbops_alert_key(&news->entry));

	if (entry == NULL || !news->step.tell || news->step.event == ALERT_REPEATS)
		return;
	entry->alert.told = news->step.before;
	entry->version++;
}

/* Write texts one after the other, each with its end, as many as there is room for. */
static int
pack(char *place, const List *details)
{
	int			used = 0;
	ListCell   *cell;

	foreach(cell, details)
	{
		int			left = Min(ALERT_DETAIL_BYTES - used, ALERT_TEXT_BYTES);

		if (left < 2)
			break;
		dbops_shared_text_put(place + used, lfirst(cell), left);
		used += strlen(place + used) + 1;
	}
	return used;
}

/* ---- for who writes and tells ---- */

/* Copies of the news that a database has yet to take, the oldest first. */
List *
dbops_alert_news(Oid database, bool home)
{
	AlertMemory *alerts = dbops_alert_memory();
	AlertNews  *copies = palloc(sizeof(AlertNews) * NEWS);
	List	   *news = NIL;
	int			n = 0;

	dbops_alert_memory_lock(LW_SHARED);
	for (int i = 0; i < NEWS; i++)
	{
		const AlertNews *one = &alerts->news[i];

		if (one->number != 0 &&
			((one->for_own && dbops_alert_concerns(database, home, one->entry.database)) || (one->for_home && home)))
			copies[n++] = *one;
	}
	dbops_alert_memory_unlock();
	for (int i = 0; i < n; i++)
		news = lappend(news, &copies[i]);
	list_sort(news, by_number);
	return news;
}

static int
by_number(const ListCell *a, const ListCell *b)
{
	const AlertNews *left = lfirst(a);
	const AlertNews *right = lfirst(b);

	return (left->number > right->number) - (left->number < right->number);
}

/* A database has taken news. Nothing here may fail. */
void
dbops_alert_news_taken(const List *news, Oid database, bool home)
{
	ListCell   *cell;

	dbops_alert_memory_lock(LW_EXCLUSIVE);
	foreach(cell, news)
		take_news(lfirst(cell), dbops_alert_concerns(database, home, ((const AlertNews *) lfirst(cell))->entry.database), home);
	dbops_alert_memory_unlock();
}

/* Its own database has taken it, or home has heard of it, or both where they are the same. */
static void
take_news(const AlertNews *taken, bool own, bool home)
{
	AlertMemory *alerts = dbops_alert_memory();

	for (int i = 0; i < NEWS; i++)
	{
		AlertNews  *news = &alerts->news[i];

		if (news->number != taken->number)
			continue;
		if (own)
			news->for_own = false;
		if (home)
			news->for_home = false;
		if (!news->for_own && !news->for_home)
			news->number = 0;
	}
}

/* A database is gone, or has dbops no more. The lock is held. */
void
dbops_alert_news_forget(Oid database)
{
	AlertMemory *alerts = dbops_alert_memory();

	for (int i = 0; i < NEWS; i++)
		if (alerts->news[i].entry.database == database)
			alerts->news[i].number = 0;
}

/* The databases that have news to take. */
List *
dbops_alert_news_waited_for(void)
{
	const AlertMemory *alerts = dbops_alert_memory();
	Oid			home = dbops_home_database();
	List	   *databases = NIL;

	dbops_alert_memory_lock(LW_SHARED);
	for (int i = 0; i < NEWS; i++)
	{
		const AlertNews *news = &alerts->news[i];

		if (news->number == 0)
			continue;
		if (news->for_own)
			databases = list_append_unique_oid(databases, OidIsValid(news->entry.database) ?
											   news->entry.database : home);
		if (news->for_home)
			databases = list_append_unique_oid(databases, home);
	}
	dbops_alert_memory_unlock();
	return list_delete_oid(databases, InvalidOid);
}
