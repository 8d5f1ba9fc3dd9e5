package boltqueue

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// keyFile is where the key of a queue lies that was given none.
func keyFile(path string) string { return path + ".key" }

// resolveKeys makes the keyring of a queue file: of the keys given, with the
// automatic key as a further opener where there is one; or, where none is
// given, of the automatic key, which is made where nothing in the file needs
// another.
//
// sealed counts the events in the file by the key that sealed them; a keyring
// that cannot open all of them is an error, and then nothing is written.
func resolveKeys(path string, given []Key, sealed map[fingerprint]int64) (*keyring, error) {
	file, auto, spare := keyFile(path), "", ""
	own, err := readKeyFile(file)
	switch {
	case err == nil && len(given) == 0:
		auto, given = file, []Key{own}
	case err == nil:
		spare, given = file, withKey(given, own)
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	case len(given) == 0:
		if n := (&keyring{}).missing(sealed); n > 0 {
			return nil, fmt.Errorf("opening the queue file %s: %d events in it are sealed, no encryption_key is given and %s is not there; give the key that sealed them or put that file back (nothing has been changed)", path, n, file)
		}
		if own, err = createKeyFile(file); err != nil {
			return nil, err
		}
		auto, given = file, []Key{own}
	}
	ring, err := newKeyring(given)
	if err != nil {
		return nil, err
	}
	ring.file, ring.spare, ring.spareKey = auto, spare, own.fingerprint()
	if n := ring.missing(sealed); n > 0 {
		return nil, fmt.Errorf("opening the queue file %s: %d events in it are sealed with a key that is not among those given; add the older key behind the new one in encryption_key (nothing has been changed)", path, n)
	}
	return ring, nil
}

func readKeyFile(file string) (Key, error) {
	b, err := os.ReadFile(file) // the path is the configuration's
	if err != nil {
		return Key{}, fmt.Errorf("reading the key file: %w", err)
	}
	k, err := ParseKey(strings.TrimSpace(string(b)))
	if err != nil {
		return Key{}, fmt.Errorf("reading the key file %s: %w", file, err)
	}
	return k, nil
}

// createKeyFile makes a key and puts it on stable storage before anything is
// sealed with it. The file appears whole or not at all.
func createKeyFile(file string) (Key, error) {
	var k Key
	_, _ = rand.Read(k[:]) // never fails; a system without randomness ends the process
	if err := writeDurably(file, base64.StdEncoding.EncodeToString(k[:])+"\n"); err != nil {
		return Key{}, fmt.Errorf("making the key file %s: %w", file, err)
	}
	return k, nil
}

func writeDurably(file, text string) error {
	f, err := os.CreateTemp(filepath.Dir(file), filepath.Base(file)+".*") // mode 0600
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return syncDir(filepath.Dir(file))
}
