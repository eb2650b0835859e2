/* What little of a C library a test needs on a bare machine. It prints to Bochs' port 0xE9. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

void *memcpy(void *to, const void *from, size_t count) {
  char *a = to;
  const char *b = from;
  while (count--) *a++ = *b++;
  return to;
}

void *memmove(void *to, const void *from, size_t count) {
  char *a = to;
  const char *b = from;
  if (a < b) return memcpy(to, from, count);
  while (count--) a[count] = b[count];
  return to;
}

void *memset(void *to, int byte, size_t count) {
  char *a = to;
  while (count--) *a++ = (char)byte;
  return to;
}

int memcmp(const void *x, const void *y, size_t count) {
  const uint8_t *a = x, *b = y;
  for (; count; count--, a++, b++) {
    if (*a != *b) return *a - *b;
  }
  return 0;
}

/* Nothing is given back: behind the program there is memory enough. */
static char *next = (char *)(64 << 20);

void *calloc(size_t count, size_t bytes) {
  char *at = next;
  size_t size = (count * bytes + 63) / 64 * 64;
  next += size;
  return memset(at, 0, size);
}

void *malloc(size_t bytes) { return calloc(1, bytes); }

void *aligned_alloc(size_t alignment, size_t bytes) { /* of up to 64 bytes, as all are */
  return alignment <= 64 ? malloc(bytes) : 0;
}

void free(void *at) { (void)at; }

static void put(char c) { __asm__ volatile("outb %0, $0xE9" : : "a"(c)); }

static void put_text(const char *text) {
  while (*text) put(*text++);
}

static void put_number(int number) {
  char digits[12];
  int at = sizeof digits;
  unsigned left = number < 0 ? 0u - (unsigned)number : (unsigned)number;
  digits[--at] = 0;
  do digits[--at] = (char)('0' + left % 10);
  while (left /= 10);
  if (number < 0) put('-');
  put_text(digits + at);
}

int putchar(int c) {
  put((char)c);
  return c;
}

/* Knows %s and %d; of others only the name. */
int printf(const char *format, ...) {
  va_list args;
  va_start(args, format);
  for (; *format; format++) {
    if (*format != '%') {
      put(*format);
    } else if (*++format == 's') {
      put_text(va_arg(args, const char *));
    } else if (*format == 'd') {
      put_number(va_arg(args, int));
    } else {
      put('%');
      put(*format);
    }
  }
  va_end(args);
  return 0;
}

double fabs(double x) { return x < 0 ? -x : x; }

float fabsf(float x) { return x < 0 ? -x : x; }

double ldexp(double x, int exponent) { /* one rounding: powers of two are exact */
  for (; exponent > 0; exponent--) x *= 2;
  for (; exponent < 0; exponent++) x /= 2;
  return x;
}

/* Says how it ended, and asks Bochs to stop. */
_Noreturn void exit(int status) {
  printf("exit %d\n", status);
  for (const char *c = "Shutdown"; *c; c++) __asm__ volatile("outb %0, %1" : : "a"(*c), "Nd"((uint16_t)0x8900));
  for (;;) __asm__ volatile("hlt");
}

_Noreturn void abort(void) { exit(134); }
