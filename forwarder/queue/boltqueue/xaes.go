package boltqueue

import (
	"crypto/aes"
	"crypto/cipher"
	"fmt"
)

// The sizes of XAES-256-GCM in bytes.
const (
	xaesKeySize   = 32
	xaesNonceSize = 24
	xaesOverhead  = 16
)

// xaes is XAES-256-GCM as C2SP specifies it (c2sp.org/XAES-256-GCM): the first
// half of a nonce of 24 bytes and the key make a key for this one message, by a
// KDF built from CMAC, and AES-256-GCM does the rest with the other half.
//
// AES-256-GCM alone, with random nonces of 12 bytes, is good for 2^32 messages
// a key; this is good for 2^80.
type xaes struct {
	block cipher.Block
	k1    [aes.BlockSize]byte
}

func newXAES(key []byte) (*xaes, error) {
	if len(key) != xaesKeySize {
		return nil, fmt.Errorf("making a cipher: the key has %d bytes and must have %d", len(key), xaesKeySize)
	}
	x := new(xaes)
	x.block, _ = aes.NewCipher(key) // an error is for a wrong size only
	x.block.Encrypt(x.k1[:], x.k1[:])

	// K1 is L shifted left by one bit, reduced where a bit fell out.
	var carry byte
	for i := len(x.k1) - 1; i >= 0; i-- {
		next := x.k1[i] >> 7
		x.k1[i] = x.k1[i]<<1 | carry
		carry = next
	}
	x.k1[len(x.k1)-1] ^= carry * 0x87
	return x, nil
}

// message returns AES-256-GCM with the key of the one message that has the
// nonce.
func (x *xaes) message(nonce []byte) (cipher.AEAD, error) {
	var key [xaesKeySize]byte
	for i := range byte(2) {
		half := key[int(i)*aes.BlockSize:][:aes.BlockSize]
		copy(half, []byte{0, i + 1, 'X', 0})
		copy(half[4:], nonce[:12])
		for j := range half {
			half[j] ^= x.k1[j]
		}
		x.block.Encrypt(half, half)
	}
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// seal appends the sealed plaintext to dst, behind which the plaintext may stand.
// No nonce may be used twice.
func (x *xaes) seal(dst, nonce, plaintext, additional []byte) ([]byte, error) {
	gcm, err := x.message(nonce)
	if err != nil {
		return nil, err
	}
	return gcm.Seal(dst, nonce[12:], plaintext, additional), nil
}

// open returns the plaintext, or an error where anything has been changed.
func (x *xaes) open(nonce, sealed, additional []byte) ([]byte, error) {
	gcm, err := x.message(nonce)
	if err != nil {
		return nil, err
	}
	return gcm.Open(nil, nonce[12:], sealed, additional)
}
