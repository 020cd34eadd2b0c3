#ifndef DBOPS_CHANGE_H
#define DBOPS_CHANGE_H
#include "core/core.h"
#endif
