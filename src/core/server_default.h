/*
 * server_default.h
 *		What the server's configuration says, whatever a session has.
 */
#ifndef DBOPS_SERVER_DEFAULT_H
#define DBOPS_SERVER_DEFAULT_H

extern void dbops_server_default_init(void);
extern void dbops_server_note(void);
extern bool dbops_server_read_only(void);

#endif							/* DBOPS_SERVER_DEFAULT_H */
