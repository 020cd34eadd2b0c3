/*
 * unrun.h
 *		What can be looked at without anything of a user's being run.
 */
#ifndef DBOPS_UNRUN_H
#define DBOPS_UNRUN_H

#include "nodes/nodes.h"

extern Node *dbops_fold_unrun(Node *expression);
extern bool dbops_runs_users(Node *expression);
extern bool dbops_domain_is_checked(Oid type);

#endif							/* DBOPS_UNRUN_H */
