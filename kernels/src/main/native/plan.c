#include "plan.h"

#include "tile_format.h"

/* Pieces for each thread, so that the last one to finish is not far behind. */
enum { PIECES = 8 };
enum { PARTIAL_BYTES = 32 << 20 };

static const int64_t SPLIT_TOKENS = SPLIT_TILES * TS_BLOCK_TOKENS;

int64_t ts_plan_max_items(const ts_decoder *d) {
  /* Query tiles, in each block of rows, and the parts of those that are cut: at most twice the pieces
   * aimed at. */
  int64_t runs = d->max_rows / TS_BLOCK_TOKENS + 2 * d->max_sequences;
  return d->max_rows / d->tile_tokens + runs + 2LL * PIECES * d->team.threads + 2;
}

int64_t ts_plan_partials(const ts_decoder *d) {
  int64_t splits = d->max_positions / SPLIT_TOKENS + 1;
  int64_t wanted = splits * (2LL * PIECES * d->team.threads + d->kv_heads);
  int64_t dim = (d->head_dim + 15) / 16 * 16, floats = d->partial_rows * (2 + dim);
  int64_t fitting = PARTIAL_BYTES / (int64_t)sizeof(float) / floats;
  return (wanted < fitting ? wanted : fitting) * floats;
}

/* Costs are in tokens of a tile that one row meets; a tile's reading costs as much as READING rows when
 * it is exact, and its share of that when it is coded. */
enum { READING = 3, FINE = 16 };

static int64_t bytes_of(const ts_place_pair *pair, int64_t exact) {
  return (pair->key.code ? pair->key.code->bytes : exact) +
         (pair->value.code ? pair->value.code->bytes : exact);
}

static int64_t reading_of(const ts_decoder *d, const ts_group *g, int32_t form) {
  if (form == 0) return READING * FINE;
  const ts_layer *layer = d->layers; /* the first of the group stands for all */
  while (&d->groups[layer->group] != g) layer++;
  int64_t exact = (int64_t)TS_BLOCK_TOKENS * d->head_dim * TS_ELEMENT_BYTES;
  const ts_place_pair *pair = &layer->cooled[(form - 1) * d->kv_heads];
  return READING * FINE * bytes_of(pair, exact) / (2 * exact);
}

/* What rows cost that read a context in the forms that its table names. */
static int64_t cost_of_named(const ts_decoder *d, const ts_group *g, int32_t sequence,
                             int64_t position, int64_t rows) {
  int64_t reading[TS_MAX_FORMS + 1], cost = 0;
  for (int32_t form = 0; form <= g->form_count; form++) reading[form] = reading_of(d, g, form);
  for (int64_t block = 0; block <= (position + rows - 1) / TS_BLOCK_TOKENS; block++) {
    cost += rows * FINE + reading[g->read_forms[g->starts[sequence] + block]];
  }
  return cost;
}

/* What rows cost that read a context. */
static int64_t cost_of(const ts_decoder *d, const ts_group *g, int32_t sequence, int64_t position,
                       int64_t rows) {
  if (g->read_forms) return cost_of_named(d, g, sequence, position, rows);
  int64_t seen = position + rows;
  if (g->window && seen > g->window + g->sink_tokens + rows) {
    seen = g->window + g->sink_tokens + rows;
  }
  int64_t tiles = seen / TS_BLOCK_TOKENS + 1, cost = 0, done = 0;
  for (int32_t form = g->form_count; form > 0; form--) {
    /* Blocks below `end` are in this form or in one that is done. */
    int64_t end = position / TS_BLOCK_TOKENS - d->rule.age_blocks[form - 1];
    int64_t count = end - (done > d->rule.first_blocks ? done : d->rule.first_blocks);
    if (count <= 0) continue;
    cost += count * (rows * FINE + reading_of(d, g, form));
    tiles -= count;
    done = end;
  }
  return cost + tiles * (rows * FINE + reading_of(d, g, 0));
}

/* Rows of the item that begins at `row`. Where tiles cool they share a block, so that all read each
 * tile in the same form. */
static int32_t rows_from(const ts_decoder *d, const ts_group *g, int32_t row, int32_t end) {
  int32_t left = end - row;
  if (g->form_count) {
    int32_t run = TS_BLOCK_TOKENS - d->row_position[row] % TS_BLOCK_TOKENS;
    if (run < left) left = run;
    int32_t pieces = (left + d->tile_tokens - 1) / d->tile_tokens;
    return (left + pieces - 1) / pieces;
  }
  return left < d->tile_tokens ? left : d->tile_tokens;
}

static void plan_group(ts_decoder *d, ts_group *g, int64_t *partials) {
  int64_t total = 0;
  for (int32_t s = 0; s < d->sequences; s++) {
    int32_t end = d->row_starts[s + 1];
    for (int32_t row = d->row_starts[s], rows; row < end; row += rows) {
      rows = rows_from(d, g, row, end);
      total += cost_of(d, g, s, d->row_position[row], rows) * d->kv_heads;
    }
  }
  int64_t target = total / (PIECES * d->team.threads) + 1;
  int32_t cell = 0;
  g->item_count = 0;
  for (int32_t s = 0; s < d->sequences; s++) {
    int32_t end = d->row_starts[s + 1];
    for (int32_t row = d->row_starts[s], rows; row < end; row += rows, cell++) {
      rows = rows_from(d, g, row, end);
      ts_item item = {
          .sequence = s, .row = row, .rows = rows, .position = d->row_position[row], .cell = cell};
      int64_t splits = (item.position + item.rows - 1) / SPLIT_TOKENS + 1;
      int64_t parts = cost_of(d, g, s, item.position, item.rows) / target + 1;
      int64_t room = splits * d->kv_heads * ts_partial_floats(d, g, (int64_t)rows * d->sharing);
      if (parts > splits) parts = splits;
      if (d->team.threads == 1 || *partials + room > d->partial_capacity) parts = 1;
      item.parts = (int32_t)parts;
      if (parts > 1) {
        item.slot = *partials;
        *partials += room;
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
