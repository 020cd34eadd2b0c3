/*
 * blocking_tree.c
 *		Whom each wait for a lock goes back to.
 *
 * A party may wait for several others; in the tree it hangs below the one that
 * is nearest to a root, which waits for nobody. Where all that is waited for
 * goes in a circle there is no root. The server will find that out and cancel
 * one; until then the member whose transaction is the youngest, which has least
 * to lose, stands as the root.
 */
#include "observe/report.h"

/* Numbers of parties that are yet to be gone through. */
typedef struct Queue
{
	int		   *numbers;
	int			first;
	int			next;
} Queue;

static List **invert(const LockGraph *graph);
static void find_circles(const LockGraph *graph, List **waiters, Blocked *tree);
static void strike(bool *left, int n, int *degree, List *const *opposite);
static void hang(const LockGraph *graph, List **waiters, Blocked *tree, Queue *queue);
static void put_root(Blocked *tree, Queue *queue, int number);
static int	choose_root(const LockGraph *graph, const Blocked *tree, const List *activities);
static void count_below(const LockGraph *graph, Blocked *tree);
static void list_below(const LockGraph *graph, Blocked *tree, int number, List **order);
static int	by_weight(const ListCell *a, const ListCell *b);
static int	by_wait(const ListCell *a, const ListCell *b);

static const LockGraph *sorted_graph;	/* what the two above compare */
static const Blocked *sorted_tree;

/* Make a tree of the waits; an element for each party. */
Blocked *
dbops_blocking_tree(const LockGraph *graph, const List *activities)
{
	Blocked    *tree = palloc0(sizeof(Blocked) * (graph->n + 1));
	Queue		queue = {.numbers = palloc(sizeof(int) * (graph->n + 1))};
	List	  **waiters = invert(graph);
	int			root;

	for (int i = 0; i < graph->n; i++)
		tree[i].root = tree[i].parent = -1;
	find_circles(graph, waiters, tree);
	for (int i = 0; i < graph->n; i++)
		if (!graph->parties[i].waits)
			put_root(tree, &queue, i);
	hang(graph, waiters, tree, &queue);
	while ((root = choose_root(graph, tree, activities)) >= 0)
	{
		put_root(tree, &queue, root);
		hang(graph, waiters, tree, &queue);
	}
	count_below(graph, tree);
	return tree;
}

/* For each party, who waits for it. */
static List **
invert(const LockGraph *graph)
{
	List	  **waiters = palloc0(sizeof(List *) * (graph->n + 1));

	for (int i = 0; i < graph->n; i++)
	{
		ListCell   *cell;

		foreach(cell, dbops_lock_blockers(graph, i))
			waiters[lfirst_int(cell)] = lappend_int(waiters[lfirst_int(cell)], i);
	}
	return waiters;
}

/* Who is left when those that wait for nobody, or for whom nobody waits, are struck out one after the other, is in a circle or between two. */
static void
find_circles(const LockGraph *graph, List **waiters, Blocked *tree)
{
	int		   *degree = palloc(sizeof(int) * (graph->n + 1));
	bool	   *left = palloc(graph->n + 1);
	List	  **blockers = palloc0(sizeof(List *) * (graph->n + 1));

	for (int i = 0; i < graph->n; i++)
	{
		left[i] = true;
		blockers[i] = unconstify(List *, dbops_lock_blockers(graph, i));
		degree[i] = list_length(blockers[i]);
	}
	strike(left, graph->n, degree, waiters);
	for (int i = 0; i < graph->n; i++)
	{
		ListCell   *cell;

		degree[i] = 0;
		foreach(cell, waiters[i])
			degree[i] += left[lfirst_int(cell)];
	}
	strike(left, graph->n, degree, blockers);
	for (int i = 0; i < graph->n; i++)
		tree[i].circle = left[i];
}

/* Strike out those without an edge, and the edges that went to them. */
static void
strike(bool *left, int n, int *degree, List *const *opposite)
{
	Queue		queue = {.numbers = palloc(sizeof(int) * (n + 1))};

	for (int i = 0; i < n; i++)
		if (left[i] && degree[i] == 0)
			queue.numbers[queue.next++] = i;
	while (queue.first < queue.next)
	{
		int			number = queue.numbers[queue.first++];
		ListCell   *cell;

		left[number] = false;
		foreach(cell, opposite[number])
			if (left[lfirst_int(cell)] && --degree[lfirst_int(cell)] == 0)
				queue.numbers[queue.next++] = lfirst_int(cell);
	}
}

/* Hang everybody below who is nearest to a root. */
static void
hang(const LockGraph *graph, List **waiters, Blocked *tree, Queue *queue)
{
	while (queue->first < queue->next)
	{
		int			number = queue->numbers[queue->first++];
		ListCell   *cell;

		foreach(cell, waiters[number])
		{
			int			waiter = lfirst_int(cell);

			if (tree[waiter].root >= 0)
				continue;
			tree[waiter].parent = number;
			tree[waiter].root = tree[number].root;
			tree[waiter].depth = tree[number].depth + 1;
			tree[number].children = lappend_int(tree[number].children, waiter);
			queue->numbers[queue->next++] = waiter;
		}
	}
}

static void
put_root(Blocked *tree, Queue *queue, int number)
{
	tree[number].root = number;
	queue->numbers[queue->next++] = number;
}

/* Of those that are in a circle and hang nowhere, the one whose transaction is the youngest; -1: there is none. */
static int
choose_root(const LockGraph *graph, const Blocked *tree, const List *activities)
{
	TimestampTz latest = 0;
	int			chosen = -1;

	for (int i = 0; i < graph->n; i++)
	{
		const Activity *activity = dbops_activity_find(activities, graph->parties[i].pid);
		TimestampTz since = activity != NULL ? activity->transaction_since : 0;

		if (tree[i].root >= 0 || !tree[i].circle)
			continue;
		if (chosen < 0 || since > latest)
		{
			chosen = i;
			latest = since;
		}
	}
	return chosen;
}

static void
count_below(const LockGraph *graph, Blocked *tree)
{
	for (int i = 0; i < graph->n; i++)
		for (int above = tree[i].parent; above >= 0; above = tree[above].parent)
			tree[above].n_below++;
}

/* List the parties as the tree is read: roots with most below them first, each followed by what hangs below it. */
List *
dbops_blocking_order(const LockGraph *graph, Blocked *tree)
{
	List	   *roots = NIL;
	List	   *order = NIL;
	ListCell   *cell;

	for (int i = 0; i < graph->n; i++)
		if (tree[i].root == i)
			roots = lappend_int(roots, i);
	sorted_graph = graph;
	sorted_tree = tree;
	list_sort(roots, by_weight);
	foreach(cell, roots)
		list_below(graph, tree, lfirst_int(cell), &order);
	return order;
}

static void
list_below(const LockGraph *graph, Blocked *tree, int number, List **order)
{
	ListCell   *cell;

	check_stack_depth();
	*order = lappend_int(*order, number);
	list_sort(tree[number].children, by_wait);
	foreach(cell, tree[number].children)
		list_below(graph, tree, lfirst_int(cell), order);
}

static int
by_weight(const ListCell *a, const ListCell *b)
{
	int			left = lfirst_int(a);
	int			right = lfirst_int(b);

	if (sorted_tree[left].n_below != sorted_tree[right].n_below)
		return sorted_tree[right].n_below - sorted_tree[left].n_below;
	return sorted_graph->parties[left].pid - sorted_graph->parties[right].pid;
}

/* Who has waited longest first; who has only just begun does not say since when. */
static int
by_wait(const ListCell *a, const ListCell *b)
{
	const LockParty *left = &sorted_graph->parties[lfirst_int(a)];
	const LockParty *right = &sorted_graph->parties[lfirst_int(b)];
	TimestampTz left_since = left->since != 0 ? left->since : DT_NOEND;
	TimestampTz right_since = right->since != 0 ? right->since : DT_NOEND;

	if (left_since != right_since)
		return left_since < right_since ? -1 : 1;
	return left->pid - right->pid;
}
