//go:build !purego

#include "textflag.h"

DATA bytes<>+0(SB)/4, $0x22222222
DATA bytes<>+4(SB)/4, $0x5c5c5c5c
DATA bytes<>+8(SB)/4, $0x1f1f1f1f
GLOBL bytes<>(SB), RODATA, $12

// func scanAVX2(b []byte, quotes []uint64) (slash, control, high uint32)
TEXT ·scanAVX2(SB), NOSPLIT, $0-60
	MOVQ b_base+0(FP), SI
	MOVQ b_len+8(FP), CX
	MOVQ quotes_base+24(FP), DI
	SHRQ $6, CX

	VPBROADCASTD bytes<>+0(SB), Y10 // quotes
	VPBROADCASTD bytes<>+4(SB), Y11 // backslashes
	VPBROADCASTD bytes<>+8(SB), Y12 // the highest control character
	VPXOR        Y7, Y7, Y7         // has a byte of 0xff for each backslash
	VPXOR        Y8, Y8, Y8         // the or of all bytes
	VPCMPEQB     Y9, Y9, Y9         // the least of all bytes

block:
	VMOVDQU   (SI), Y0
	VMOVDQU   32(SI), Y1
	VPCMPEQB  Y10, Y0, Y2
	VPCMPEQB  Y10, Y1, Y3
	VPMOVMSKB Y2, AX
	VPMOVMSKB Y3, BX
	SHLQ      $32, BX
	ORQ       BX, AX
	MOVQ      AX, (DI)
	VPCMPEQB  Y11, Y0, Y4
	VPCMPEQB  Y11, Y1, Y5
	VPOR      Y4, Y5, Y4
	VPOR      Y4, Y7, Y7
	VPOR      Y0, Y1, Y6
	VPOR      Y6, Y8, Y8
	VPMINUB   Y0, Y1, Y6
	VPMINUB   Y6, Y9, Y9
	ADDQ      $64, SI
	ADDQ      $8, DI
	DECQ      CX
	JNZ       block

	VPMOVMSKB Y7, AX
	MOVL      AX, slash+48(FP)
	VPMINUB   Y9, Y12, Y0
	VPCMPEQB  Y0, Y9, Y0
	VPMOVMSKB Y0, AX
	MOVL      AX, control+52(FP)
	VPMOVMSKB Y8, AX
	MOVL      AX, high+56(FP)
	VZEROUPPER
	RET
