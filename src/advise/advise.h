#ifndef DBOPS_ADVISE_H
#define DBOPS_ADVISE_H
#include "core/core.h"
#endif
