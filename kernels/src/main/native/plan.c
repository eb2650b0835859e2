#include "plan.h"

#include "tile_format.h"

/* Pieces for each thread, so that the last one to finish is not far behind. */
enum { PIECES = 8 };
enum { PARTIAL_BYTES = 32 << 20 };

static const int64_t SPLIT_TOKENS = SPLIT_TILES * TS_BLOCK_TOKENS;

int64_t ts_plan_max_items(const ts_decoder *d) {
  /* Query tiles, and the parts of those that are cut: at most twice the pieces aimed at. */
  return d->max_rows / d->tile_tokens + d->max_sequences + 2LL * PIECES * d->team.threads + 2;
}

int64_t ts_plan_partials(const ts_decoder *d) {
  int64_t splits = d->max_positions / SPLIT_TOKENS + 1;
  int64_t wanted = splits * (2LL * PIECES * d->team.threads + d->kv_heads);
  int64_t bytes = d->partial_rows * (2 + (d->head_dim + 15) / 16 * 16) * (int64_t)sizeof(float);
  int64_t fitting = PARTIAL_BYTES / bytes;
  return wanted < fitting ? wanted : fitting;
}

/* Tiles that an item's rows read, about. */
static int64_t tiles_of(const ts_group *g, int64_t position, int64_t rows) {
  int64_t seen = position + rows;
  if (g->window && seen > g->window + g->sink_tokens + rows) {
    seen = g->window + g->sink_tokens + rows;
  }
  return seen / TS_BLOCK_TOKENS + 1;
}

/* A row costs its share of arithmetic, and all rows together the reading. */
static int64_t cost_of(const ts_group *g, int64_t position, int64_t rows) {
  return tiles_of(g, position, rows) * (rows + 3);
}

static void plan_group(ts_decoder *d, ts_group *g, int64_t *partials) {
  int64_t total = 0;
  for (int32_t s = 0; s < d->sequences; s++) {
    int32_t end = d->row_starts[s + 1];
    for (int32_t row = d->row_starts[s]; row < end; row += d->tile_tokens) {
      int32_t rows = end - row < d->tile_tokens ? end - row : d->tile_tokens;
      total += cost_of(g, d->row_position[row], rows) * d->kv_heads;
    }
  }
  int64_t target = total / (PIECES * d->team.threads) + 1;
  int32_t cell = 0;
  g->item_count = 0;
  for (int32_t s = 0; s < d->sequences; s++) {
    int32_t end = d->row_starts[s + 1];
    for (int32_t row = d->row_starts[s]; row < end; row += d->tile_tokens, cell++) {
      ts_item item = {.sequence = s, .row = row, .position = d->row_position[row], .cell = cell};
      item.rows = end - row < d->tile_tokens ? end - row : d->tile_tokens;
      int64_t splits = (item.position + item.rows - 1) / SPLIT_TOKENS + 1;
      int64_t parts = cost_of(g, item.position, item.rows) / target + 1;
      if (parts > splits) parts = splits;
      if (d->team.threads == 1 || *partials + splits * d->kv_heads > d->partial_capacity) parts = 1;
      item.parts = (int32_t)parts;
      if (parts > 1) {
        item.slot = *partials;
        *partials += splits * d->kv_heads;
      }
      for (int64_t part = 0; part < parts; part++) {
        item.first_split = (int32_t)(splits * part / parts);
        item.end_split = (int32_t)(splits * (part + 1) / parts);
        g->items[g->item_count++] = item;
      }
    }
  }
}

void ts_plan(ts_decoder *d) {
  for (int32_t i = 0; i < d->group_count; i++) {
    int64_t partials = 0; /* layers run one after the other: groups share the room */
    plan_group(d, &d->groups[i], &partials);
  }
}
