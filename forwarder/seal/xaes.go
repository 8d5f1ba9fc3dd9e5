package seal

import (
	"crypto/aes"
	"crypto/cipher"
)

// The sizes of XAES-256-GCM in bytes.
const (
	keySize   = 32
	nonceSize = 24
	tagSize   = 16
)

// xaes is XAES-256-GCM as specified by C2SP (c2sp.org/XAES-256-GCM): a KDF built from
// CMAC derives a key for one message from the key and the first half of a nonce of 24
// bytes. AES-256-GCM seals the message with that key and the other half of the nonce.
//
// With random nonces, AES-256-GCM alone is safe for 2^32 messages with one key, and
// this construction for 2^80.
type xaes struct {
	block cipher.Block
	k1    [aes.BlockSize]byte
}

func newXAES(key Key) *xaes {
	x := new(xaes)
	x.block, _ = aes.NewCipher(key[:]) // only fails for a wrong key size
	x.block.Encrypt(x.k1[:], x.k1[:])

	// K1 is L shifted left by one bit, and reduced if a bit was shifted out.
	var carry byte
	for i := len(x.k1) - 1; i >= 0; i-- {
		next := x.k1[i] >> 7
		x.k1[i] = x.k1[i]<<1 | carry
		carry = next
	}
	x.k1[len(x.k1)-1] ^= carry * 0x87
	return x
}

// message returns AES-256-GCM with the key derived from the nonce.
func (x *xaes) message(nonce []byte) (cipher.AEAD, error) {
	var key [keySize]byte
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

// seal appends the sealed plaintext to dst. The plaintext may directly follow dst in
// the same array. A nonce must not be used twice.
func (x *xaes) seal(dst, nonce, plaintext, additional []byte) ([]byte, error) {
	gcm, err := x.message(nonce)
	if err != nil {
		return nil, err
	}
	return gcm.Seal(dst, nonce[12:], plaintext, additional), nil
}

// open appends the plaintext to dst, or returns an error if anything was changed.
func (x *xaes) open(dst, nonce, sealed, additional []byte) ([]byte, error) {
	gcm, err := x.message(nonce)
	if err != nil {
		return nil, err
	}
	return gcm.Open(dst, nonce[12:], sealed, additional)
}
