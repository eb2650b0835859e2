/* Tiles whose codes are pairs of levels. */
#ifndef TESSERA_PAIRS_H
#define TESSERA_PAIRS_H

#include "coded.h"

/* A group's levels as pairs: of keys [channels / 2][tokens][2], of values [tokens / 2][16][2]. */
void TS(pairs_of_keys)(const ts_code *code, const ts_code_group *g, const uint8_t *codes,
                       int16_t *out);
void TS(pairs_of_values)(const ts_code *code, const ts_code_group *g, const uint8_t *codes,
                         int16_t *out);

#endif
