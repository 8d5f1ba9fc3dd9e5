package wal

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A madePage is a frame to create.
type madePage struct {
	page, commit uint32
}

// madeWAL returns a WAL with linked frames and pages of 512 bytes.
func madeWAL(big bool, salt string, pages ...madePage) []byte {
	w := format{big: big, pageSize: minPage, salt: []byte(salt)}
	wal, sum := w.header()
	for i, p := range pages {
		f := make(frame, frameHeader+minPage)
		binary.BigEndian.PutUint32(f, p.page)
		f.setCommit(p.commit)
		copy(f.salt(), salt)
		for j := range f.content() {
			f.content()[j] = byte(i*31 + j*j)
		}
		sum = w.sumAfter(sum, f)
		sum.put(f[16:])
		wal = append(wal, f...)
	}
	return wal
}

// madeFrame returns a frame of a WAL.
func madeFrame(wal []byte, i int) frame {
	return frame(wal[frameOffset(minPage, i):frameOffset(minPage, i+1)])
}

// tear overwrites n bytes of a frame.
func tear(wal []byte, frame, at, n int) {
	for i := range n {
		madeFrame(wal, frame)[at+i] = byte(0x5a + 7*i)
	}
}

// highest returns the position of the highest byte of a word.
func highest(big bool, at int) int {
	if big {
		return at
	}
	return at + 3
}

func TestInspect(t *testing.T) {
	t.Parallel()
	// Three transactions, and the beginning of a fourth.
	pages := []madePage{{1, 0}, {2, 3}, {3, 0}, {2, 0}, {3, 4}, {4, 0}, {2, 5}, {3, 0}}
	const ours, older = "ourSalts", "oldSalts"
	for _, c := range []struct {
		name    string
		change  func(wal []byte, big bool) []byte
		frames  int // that SQLite reads
		end     int
		damaged []Damage
		kept    []madePage // unless it is a prefix of pages
	}{
		{name: "as written", frames: 8, end: 7},
		{name: "truncated in a frame", change: func(wal []byte, big bool) []byte { return wal[:len(wal)-600] }, frames: 6, end: 5},
		{name: "truncated in the header", change: func(wal []byte, big bool) []byte { return wal[:20] }},
		{name: "only a header", change: func(wal []byte, big bool) []byte { return wal[:headerSize] }},
		{name: "the end was not written", change: func(wal []byte, big bool) []byte {
			tear(wal, 6, 40, 400)
			return wal[:frameOffset(minPage, 7)]
		}, frames: 6, end: 5},
		{name: "the last transaction has a hole", change: func(wal []byte, big bool) []byte {
			tear(wal, 5, 40, 400)
			return wal[:frameOffset(minPage, 7)]
		}, frames: 5, end: 5},
		{name: "the last transaction has a hole of zeros", change: func(wal []byte, big bool) []byte {
			clear(madeFrame(wal, 5))
			return wal[:frameOffset(minPage, 7)]
		}, frames: 5, end: 5},
		{name: "older frames after the end", change: func(wal []byte, big bool) []byte {
			return append(wal, madeWAL(big, older, append(pages, pages...)...)[len(wal):]...)
		}, frames: 8, end: 7},
		{name: "a new header before older frames", change: func(wal []byte, big bool) []byte {
			return append(madeWAL(big, ours), madeWAL(big, older, pages...)[headerSize:]...)
		}},
		// SQLite writes the next transaction over one that was rolled back, with the
		// same salts.
		{name: "frames of a transaction that was rolled back", change: func(wal []byte, big bool) []byte {
			back := madeWAL(big, ours, slices.Concat(pages[:5], []madePage{{9, 0}, {8, 0}, {7, 0}, {6, 0}, {5, 0}})...)
			return append(wal[:frameOffset(minPage, 7)], back[frameOffset(minPage, 7):]...)
		}, frames: 7, end: 7},
		{name: "frames of commits that failed", change: func(wal []byte, big bool) []byte {
			long := madeWAL(big, ours, slices.Concat(pages[:5], []madePage{{9, 0}, {8, 0}, {7, 0}, {6, 0}, {5, 0}, {4, 9}})...)
			short := madeWAL(big, ours, slices.Concat(pages[:5], []madePage{{7, 0}, {8, 0}, {9, 0}, {6, 9}})...)
			return slices.Concat(wal[:frameOffset(minPage, 7)], short[frameOffset(minPage, 7):], long[frameOffset(minPage, 9):])
		}, frames: 7, end: 7},

		{
			name: "a page", change: func(wal []byte, big bool) []byte {
				tear(wal, 3, 100, 9)
				return wal
			}, frames: 3, end: 7,
			damaged: []Damage{{Frame: 3, Page: 2, State: Dropped, Superseded: true}},
			kept:    []madePage{{1, 0}, {2, 3}, {3, 0}, {3, 4}, {4, 0}, {2, 5}},
		},
		{
			name: "a page that is in no later frame", change: func(wal []byte, big bool) []byte {
				tear(wal, 4, 100, 9)
				return wal
			}, frames: 4, end: 7,
			damaged: []Damage{{Frame: 4, Page: 3, State: Dropped}},
			kept:    []madePage{{1, 0}, {2, 3}, {3, 0}, {2, 4}, {4, 0}, {2, 5}},
		},
		{
			name: "the last commit, with a frame after it", change: func(wal []byte, big bool) []byte {
				tear(wal, 6, 100, 9)
				return wal
			}, frames: 6, end: 7,
			damaged: []Damage{{Frame: 6, Page: 2, State: Dropped}},
			kept:    []madePage{{1, 0}, {2, 3}, {3, 0}, {2, 0}, {3, 4}, {4, 5}},
		},
		{
			name: "the first page", change: func(wal []byte, big bool) []byte {
				tear(wal, 0, 100, 9)
				return wal
			}, end: 7,
			damaged: []Damage{{Page: 1, State: Dropped}}, kept: pages[1:7],
		},
		{
			name: "two pages in a row", change: func(wal []byte, big bool) []byte {
				tear(wal, 2, 100, 9)
				tear(wal, 3, 100, 9)
				return wal
			}, frames: 2, end: 7,
			damaged: []Damage{{Frame: 2, Page: 3, State: Dropped, Superseded: true}, {Frame: 3, Page: 2, State: Unverified, Superseded: true}},
			kept:    []madePage{{1, 0}, {2, 3}, {2, 0}, {3, 4}, {4, 0}, {2, 5}},
		},
		{
			name: "a byte", change: func(wal []byte, big bool) []byte {
				madeFrame(wal, 3)[101] ^= 7
				return wal
			}, frames: 3, end: 7,
			damaged: []Damage{{Frame: 3, Page: 2, State: Restored}},
		},
		{name: "a byte of the last transaction", change: func(wal []byte, big bool) []byte {
			madeFrame(wal, 5)[101] ^= 7
			return wal[:frameOffset(minPage, 7)]
		}, frames: 5, end: 7, damaged: []Damage{{Frame: 5, Page: 4, State: Restored}}},
		{
			name: "the highest byte of a word in the last transaction", change: func(wal []byte, big bool) []byte {
				madeFrame(wal, 6)[highest(big, 100)] ^= 7
				return wal[:frameOffset(minPage, 7)]
			}, frames: 6, end: 7, damaged: []Damage{{Frame: 6, Page: 2, State: Dropped}},
			kept: []madePage{{1, 0}, {2, 3}, {3, 0}, {2, 0}, {3, 4}, {4, 5}},
		},
		{
			name: "the highest byte of a page number", change: func(wal []byte, big bool) []byte {
				madeFrame(wal, 2)[highest(big, 0)] ^= 1
				return wal
			}, frames: 2, end: 7,
			damaged: []Damage{{Frame: 2, State: Dropped}},
			kept:    []madePage{{1, 0}, {2, 3}, {2, 0}, {3, 4}, {4, 0}, {2, 5}},
		},
		{name: "the highest byte of the last commit mark", change: func(wal []byte, big bool) []byte {
			madeFrame(wal, 6)[4+highest(big, 0)] ^= 1
			return wal[:frameOffset(minPage, 7)]
		}, frames: 6, end: 7, damaged: []Damage{{Frame: 6, Page: 2, State: Dropped}}, kept: []madePage{{1, 0}, {2, 3}, {3, 0}, {2, 0}, {3, 4}, {4, 5}}},
		{
			name: "salts", change: func(wal []byte, big bool) []byte {
				tear(wal, 3, 8, 8)
				return wal
			}, frames: 3, end: 7,
			damaged: []Damage{{Frame: 3, Page: 2, State: Restored}},
		},
		{
			name: "a checksum", change: func(wal []byte, big bool) []byte {
				tear(wal, 3, 16, 8)
				return wal
			}, frames: 3, end: 7,
			damaged: []Damage{{Frame: 3, Page: 2, State: Restored}},
		},
		{name: "a byte of the last checksum", change: func(wal []byte, big bool) []byte {
			madeFrame(wal, 6)[18] ^= 7
			return wal[:frameOffset(minPage, 7)]
		}, frames: 6, end: 7, damaged: []Damage{{Frame: 6, Page: 2, State: Unverified}}},
		{
			name: "a frame's header", change: func(wal []byte, big bool) []byte {
				tear(wal, 2, 0, frameHeader)
				return wal
			}, frames: 2, end: 7,
			damaged: []Damage{{Frame: 2, State: Dropped}, {Frame: 3, Page: 2, State: Unverified, Superseded: true}},
			kept:    []madePage{{1, 0}, {2, 3}, {2, 0}, {3, 4}, {4, 0}, {2, 5}},
		},
		{
			name: "the header of a commit", change: func(wal []byte, big bool) []byte {
				tear(wal, 1, 0, frameHeader)
				return wal
			}, frames: 1, end: 7,
			damaged: []Damage{{Frame: 1, State: Dropped}, {Frame: 2, Page: 3, State: Unverified, Superseded: true}},
			kept:    []madePage{{1, 0}, {3, 0}, {2, 0}, {3, 4}, {4, 0}, {2, 5}},
		},
		{
			name: "two frames", change: func(wal []byte, big bool) []byte {
				tear(wal, 2, 0, 536)
				tear(wal, 3, 0, 536)
				return wal
			}, frames: 2, end: 7,
			damaged: []Damage{{Frame: 2, State: Dropped}, {Frame: 3, State: Dropped}, {Frame: 4, Page: 3, State: Unverified}},
			kept:    []madePage{{1, 0}, {2, 3}, {3, 4}, {4, 0}, {2, 5}},
		},
		{
			name: "a page whose later image cannot be verified", change: func(wal []byte, _ bool) []byte {
				tear(wal, 2, 100, 9)
				tear(wal, 3, 0, 536)
				return wal
			}, frames: 2, end: 7,
			damaged: []Damage{{Frame: 2, Page: 3, State: Dropped}, {Frame: 3, State: Dropped}, {Frame: 4, Page: 3, State: Unverified}},
			kept:    []madePage{{1, 0}, {2, 3}, {3, 4}, {4, 0}, {2, 5}},
		},
		{
			name: "a frame and older frames after the end", change: func(wal []byte, big bool) []byte {
				wal = append(wal, madeWAL(big, older, append(pages, pages...)...)[len(wal):]...)
				tear(wal, 3, 100, 9)
				return wal
			}, frames: 3, end: 7, damaged: []Damage{{Frame: 3, Page: 2, State: Dropped, Superseded: true}},
			kept: []madePage{{1, 0}, {2, 3}, {3, 0}, {3, 4}, {4, 0}, {2, 5}},
		},
	} {
		for i := range c.damaged {
			c.damaged[i].Offset = frameOffset(minPage, c.damaged[i].Frame)
		}
		for _, big := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, big-endian %v", c.name, big), func(t *testing.T) {
				t.Parallel()
				wal := madeWAL(big, ours, pages...)
				if c.change != nil {
					wal = c.change(wal, big)
				}
				r, whole := repaired(t, wal)
				if r.Frames != c.frames || r.End != c.end || !slices.Equal(r.Damaged, c.damaged) || r.IsDamaged() != (c.damaged != nil) || (r.Err() != nil) != r.IsDamaged() {
					t.Fatalf("%+v, %v", r, r.Err())
				}
				if len(wal) < headerSize {
					return
				}
				kept := c.kept
				if kept == nil {
					kept = pages[:c.end]
				}
				want := madeWAL(big, ours, kept...)
				for i, p := range kept {
					f, w := madeFrame(whole, i), madeFrame(want, i)
					if f.page() != p.page || f.commit() != p.commit || !bytes.Equal(f.salt(), w.salt()) {
						t.Errorf("frame %d: page %d, commit %d; want %+v", i, f.page(), f.commit(), p)
					}
				}
				if len(whole) != len(want) {
					t.Errorf("%d bytes, want %d", len(whole), len(want))
				}
			})
		}
	}
}

func TestInspectWithoutAFile(t *testing.T) {
	t.Parallel()
	if r, err := Inspect(filepath.Join(t.TempDir(), "queue.db-wal")); err != nil || r.IsDamaged() {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestInspectAnotherFile(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "queue.db-wal")
	foreign := bytes.Repeat([]byte("another program's file. "), 5000)
	if err := os.WriteFile(file, foreign, 0o600); err != nil {
		t.Fatal(err)
	}
	if r, err := Inspect(file); err != nil || !r.IsDamaged() || r.Whole() || r.Err() == nil {
		t.Errorf("Inspect: %+v, %v", r, err)
	}
	if _, err := Repair(file, file); err == nil || !strings.Contains(err.Error(), "not a WAL") {
		t.Errorf("Repair: %v", err)
	}
	if b, err := os.ReadFile(file); err != nil || !bytes.Equal(b, foreign) {
		t.Errorf("the file was changed: %v", err)
	}
	if entries, err := os.ReadDir(filepath.Dir(file)); err != nil || len(entries) != 1 {
		t.Errorf("files left: %v, %v", entries, err)
	}
}

// Data that SQLite itself leaves after the end of a WAL is not damage.
func TestInspectWhatSQLiteLeaves(t *testing.T) {
	t.Parallel()
	insert := func(rows int) string {
		return fmt.Sprintf(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)
			INSERT INTO event SELECT (SELECT coalesce(max(seq), 0) FROM event) + i, hex(randomblob(16)), randomblob(1700) FROM n;`, rows)
	}
	for name, text := range map[string]string{
		"a transaction that was rolled back": insert(3) + `PRAGMA cache_size = 2; BEGIN; ` + insert(300) + `ROLLBACK; ` + insert(2),
		"an older generation":                insert(100) + insert(100) + `PRAGMA wal_checkpoint(RESTART); ` + insert(2) + insert(2),
		"a page that is written twice":       `PRAGMA cache_size = 2; BEGIN; ` + insert(300) + `UPDATE event SET id = id || 'x'; COMMIT; ` + insert(2),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "queue.db")
			db, err := openDatabase(path)
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			if _, err := db.Exec(text); err != nil {
				t.Fatal(err)
			}
			x := &fixture{rows: make(map[int64]string)}
			rows, err := db.Query(`SELECT seq, sealed FROM event`)
			if err != nil {
				t.Fatal(err)
			}
			defer rows.Close()
			for rows.Next() {
				var seq int64
				var sealed string
				if err := rows.Scan(&seq, &sealed); err != nil {
					t.Fatal(err)
				}
				x.rows[seq] = sealed
			}
			if x.database, err = os.ReadFile(path); err != nil {
				t.Fatal(err)
			}
			if x.wal, err = os.ReadFile(path + "-wal"); err != nil {
				t.Fatal(err)
			}
			r, wal := repaired(t, x.wal)
			if r.IsDamaged() || r.End != r.Frames || !r.Committed || r.End == 0 {
				t.Errorf("%+v, %v", r, r.Err())
			}
			if behind := x.frames() - r.End; behind == 0 && name != "a page that is written twice" {
				t.Error("no frame is after the end")
			}
			for _, wal := range [][]byte{x.wal, wal} {
				if lost, check := x.missing(t, x.put(t, wal)); len(lost) > 0 || check != "ok" {
					t.Errorf("lost %d rows, check: %s", len(lost), check)
				}
			}
		})
	}
}

func FuzzInspect(f *testing.F) {
	pages := []madePage{{1, 0}, {2, 2}, {3, 0}, {2, 0}, {3, 4}, {4, 0}, {2, 4}, {3, 0}}
	for _, big := range []bool{false, true} {
		for _, change := range []func(wal []byte){
			func([]byte) {},
			func(wal []byte) { tear(wal, 3, 100, 9) },
			func(wal []byte) { tear(wal, 3, 0, 536) },
			func(wal []byte) { clear(wal[:700]) },
			func(wal []byte) { wal[3] ^= 1 },
		} {
			wal := madeWAL(big, "someSalt", pages...)
			change(wal)
			f.Add(wal)
		}
	}
	f.Fuzz(func(t *testing.T, wal []byte) {
		r, whole := repaired(t, wal)
		if len(r.Damaged) > maxDamaged || len(whole) > max(len(wal), headerSize) {
			t.Errorf("%d damaged frames, %d bytes of %d", len(r.Damaged), len(whole), len(wal))
		}
		if !r.IsDamaged() && r.End > 0 && !bytes.Equal(whole, wal[:len(whole)]) {
			t.Error("an undamaged WAL was changed")
		}
	})
}
