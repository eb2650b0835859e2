/* The logits that llama.cpp computes, for fidelity.py:
 *
 *     llama_logits MODEL.gguf THREADS FLASH_ATTENTION(0|1) < tokens > logits
 *
 * Both sides are little-endian: int32 number of texts, then per text the number of tokens and the
 * tokens; float32 logits of every token, text by text. */
#include <stdio.h>
#include <stdlib.h>

#include "llama.h"

enum { CHUNK = 512 };

static int32_t next(void) {
  int32_t value;
  if (fread(&value, sizeof value, 1, stdin) != 1) exit(3);
  return value;
}

static void quiet(enum ggml_log_level level, const char *text, void *data) {
  (void)data;
  if (level >= GGML_LOG_LEVEL_ERROR) fputs(text, stderr);
}

int main(int count, char **arguments) {
  if (count != 4) return 2;
  llama_log_set(quiet, NULL);
  llama_backend_init();
  struct llama_model *model =
      llama_model_load_from_file(arguments[1], llama_model_default_params());
  if (!model) return 1;
  int vocabulary = llama_vocab_n_tokens(llama_model_get_vocab(model));
  for (int texts = next(); texts > 0; texts--) {
    int length = next();
    struct llama_context_params params = llama_context_default_params();
    params.n_ctx = (uint32_t)length;
    params.n_batch = params.n_ubatch = CHUNK;
    params.n_threads = params.n_threads_batch = atoi(arguments[2]);
    params.flash_attn_type =
        atoi(arguments[3]) ? LLAMA_FLASH_ATTN_TYPE_ENABLED : LLAMA_FLASH_ATTN_TYPE_DISABLED;
    struct llama_context *context = llama_init_from_model(model, params);
    if (!context) return 1;
    struct llama_batch batch = llama_batch_init(CHUNK, 0, 1);
    for (int at = 0; at < length; at += batch.n_tokens) {
      batch.n_tokens = length - at < CHUNK ? length - at : CHUNK;
      for (int i = 0; i < batch.n_tokens; i++) {
        batch.token[i] = next();
        batch.pos[i] = at + i;
        batch.n_seq_id[i] = 1;
        batch.seq_id[i][0] = 0;
        batch.logits[i] = 1;
      }
      if (llama_decode(context, batch)) return 1;
      for (int i = 0; i < batch.n_tokens; i++) {
        fwrite(llama_get_logits_ith(context, i), sizeof(float), (size_t)vocabulary, stdout);
      }
    }
    llama_batch_free(batch);
    llama_free(context);
  }
  return ferror(stdout) ? 1 : 0;
}
