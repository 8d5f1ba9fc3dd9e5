package chain

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/scribegate/scribegate/forwarder/seal"
)

// The sizes of the parts of a Link.
const (
	keyDigits  = len(seal.TransientAuditID)
	prevSize   = 8
	timeDigits = 14
	linkParts  = 4
)

// A Link is the value of the field `chain` of a line, in hex digits: the key, the line before, the
// time, and the HMAC of both lines, separated by dashes.
type Link struct {
	Key  string                  // as seal.AuditKey.ID
	Prev [prevSize]byte          // the beginning of the MAC of the line before; zero for the first line
	At   int64                   // the time of the line in microseconds since 1970, since each log writes times in its own format
	MAC  [seal.AuditMACSize]byte // of this line, with the other parts of the link
}

// String returns the value of the field.
func (l Link) String() string {
	return l.begin() + hex.EncodeToString(l.MAC[:])
}

// begin returns the value of the field without the MAC, which covers this part.
func (l Link) begin() string {
	return fmt.Sprintf("%s-%x-%0*x-", l.Key, l.Prev, timeDigits, l.At)
}

// ParseLink returns the link that a field contains, and whether it is one.
func ParseLink(s string) (l Link, ok bool) {
	parts := strings.Split(s, "-")
	if len(parts) != linkParts || len(parts[0]) != keyDigits || len(parts[2]) != timeDigits {
		return l, false
	}
	at, err := strconv.ParseUint(parts[2], 16, 63)
	if err != nil || !decode(make([]byte, keyDigits/2), parts[0]) || !decode(l.Prev[:], parts[1]) || !decode(l.MAC[:], parts[3]) {
		return l, false
	}
	l.Key, l.At = parts[0], int64(at)
	return l, l.String() == s // in lower case, and nothing else
}

// decode decodes all bytes from hex digits.
func decode(to []byte, digits string) bool {
	if len(digits) != hex.EncodedLen(len(to)) {
		return false
	}
	_, err := hex.Decode(to, []byte(digits))
	return err == nil
}

// Time returns the time of the line.
func (l Link) Time() time.Time { return time.UnixMicro(l.At).UTC() }

// next returns the Prev of a line that follows this one.
func (l Link) next() (p [prevSize]byte) {
	copy(p[:], l.MAC[:])
	return p
}

// short returns the beginning of the MAC as a number.
func (l Link) short() uint64 { return binary.BigEndian.Uint64(l.MAC[:]) }
