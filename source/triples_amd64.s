//go:build !purego

#include "textflag.h"

// func triplesAVX2(b *byte, n int, masks *[6][32]byte) int
TEXT ·triplesAVX2(SB), NOSPLIT, $0-32
	MOVQ         b+0(FP), SI
	MOVQ         n+8(FP), CX
	MOVQ         masks+16(FP), DX
	VMOVDQU      (DX), Y0    // by the low half of the first byte
	VMOVDQU      32(DX), Y1  // by its high half
	VMOVDQU      64(DX), Y2  // of the second
	VMOVDQU      96(DX), Y3
	VMOVDQU      128(DX), Y4 // of the third
	VMOVDQU      160(DX), Y5
	MOVL         $0x0f0f0f0f, AX
	MOVQ         AX, X6
	VPBROADCASTD X6, Y6
	XORQ         AX, AX

loop:
	CMPQ    AX, CX
	JGE     end
	VMOVDQU (SI)(AX*1), Y7
	VMOVDQU 1(SI)(AX*1), Y8
	VMOVDQU 2(SI)(AX*1), Y9
	VPAND   Y6, Y7, Y10
	VPSRLW  $4, Y7, Y7
	VPAND   Y6, Y7, Y7
	VPSHUFB Y10, Y0, Y10
	VPSHUFB Y7, Y1, Y7
	VPAND   Y7, Y10, Y10
	VPAND   Y6, Y8, Y11
	VPSRLW  $4, Y8, Y8
	VPAND   Y6, Y8, Y8
	VPSHUFB Y11, Y2, Y11
	VPSHUFB Y8, Y3, Y8
	VPAND   Y8, Y11, Y11
	VPAND   Y6, Y9, Y12
	VPSRLW  $4, Y9, Y9
	VPAND   Y6, Y9, Y9
	VPSHUFB Y12, Y4, Y12
	VPSHUFB Y9, Y5, Y9
	VPAND   Y9, Y12, Y12
	VPAND   Y11, Y10, Y10
	VPAND   Y12, Y10, Y10
	VPTEST  Y10, Y10
	JNZ     hit
	ADDQ    $32, AX
	JMP     loop

hit:
	VPXOR     Y7, Y7, Y7
	VPCMPEQB  Y7, Y10, Y7
	VPMOVMSKB Y7, BX
	NOTL      BX
	BSFL      BX, BX
	ADDQ      BX, AX

end:
	VZEROUPPER
	MOVQ AX, ret+24(FP)
	RET
