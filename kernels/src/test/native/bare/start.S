/* From a multiboot loader into 64 bits with AVX-512 switched on, the first gigabyte mapped as it lies;
 * then main. */
.section .multiboot, "a"
.align 4
.long 0x1BADB002, 0, -(0x1BADB002)

.section .text
.code32
.global _start
_start:
  cli
  mov $stack_top, %esp
  mov $directories, %eax
  or $3, %eax
  mov %eax, tables
  mov $pages, %eax
  or $3, %eax
  mov %eax, directories
  mov $pages, %edi
  mov $0x83, %eax /* present, writable, of 2 MB */
  mov $512, %ecx
1:
  mov %eax, (%edi)
  add $0x200000, %eax
  add $8, %edi
  loop 1b
  mov $tables, %eax
  mov %eax, %cr3
  mov %cr4, %eax
  or $0x40620, %eax /* physical address extension, SSE, its exceptions, XSAVE */
  mov %eax, %cr4
  mov $0xC0000080, %ecx
  rdmsr
  or $0x100, %eax /* long mode */
  wrmsr
  mov %cr0, %eax
  and $0xFFFFFFFB, %eax /* no emulation of the FPU */
  or $0x80000003, %eax  /* paging, monitor, protection */
  mov %eax, %cr0
  lgdt descriptors
  ljmp $8, $in_long_mode

.code64
in_long_mode:
  mov $16, %eax
  mov %eax, %ds
  mov %eax, %es
  mov %eax, %ss
  xor %ecx, %ecx
  xor %edx, %edx
  mov $0xE7, %eax /* x87, SSE, AVX, and the three parts of AVX-512 */
  xsetbv
  mov $0xC0000100, %ecx /* the base of FS: thread-local variables lie below */
  mov $thread, %eax
  mov %rax, (%rax)
  wrmsr
  mov $stack_top, %rsp
  call main
  mov %eax, %edi
  call exit

.section .data
.align 8
segments:
  .quad 0, 0x00AF9A000000FFFF, 0x00CF92000000FFFF
descriptors:
  .word 23
  .long segments

.section .bss
.align 4096
tables: .skip 4096
directories: .skip 4096
pages: .skip 4096
stack: .skip 4 << 20
.align 64
stack_top:
.skip 4 << 20
.align 64
thread: .skip 8

.section .note.GNU-stack, "", @progbits
