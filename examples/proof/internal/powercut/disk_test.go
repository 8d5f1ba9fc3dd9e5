package powercut

import (
	"bytes"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func random(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 1)) }

// left returns the content of the files that a power cut leaves, by path.
func left(t *testing.T, d *Disk, m Manner, seed uint64) map[string]string {
	t.Helper()
	dir := t.TempDir()
	if err := d.Cut(m, random(seed)).WriteTo(dir); err != nil {
		t.Fatal(err)
	}
	files := make(map[string]string)
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		name := strings.TrimPrefix(path, dir+"/")
		if e.IsDir() {
			files[name] = "/"
			return nil
		}
		b, err := os.ReadFile(path)
		files[name] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// TestSync checks what is certainly on stable storage: what is kept if all other changes are lost.
func TestSync(t *testing.T) {
	t.Parallel()
	file := []Op{{Kind: Name, File: 1, Name: "f", Start: 1, End: 1}, {Kind: Write, File: 1, Data: []byte("a"), Start: 3, End: 5}}
	named := Sync{Call: "fsync", File: 0, Start: 2, End: 2}
	tests := map[string]struct {
		ops   []Op
		syncs []Sync
		want  map[string]string
	}{
		"nothing synced":                    {file, nil, map[string]string{}},
		"the name, not the data":            {file, []Sync{named}, map[string]string{"f": ""}},
		"the data, not the name":            {file, []Sync{{"fsync", 1, 6, 7}}, map[string]string{}},
		"both":                              {file, []Sync{named, {"fdatasync", 1, 6, 7}}, map[string]string{"f": "a"}},
		"the write ended during the sync":   {file, []Sync{named, {"fdatasync", 1, 4, 7}}, map[string]string{"f": ""}},
		"the sync has not returned":         {file, []Sync{named, {"fdatasync", 1, 6, 99}}, map[string]string{"f": ""}},
		"another file's sync":               {file, []Sync{named, {"fdatasync", 2, 6, 7}}, map[string]string{"f": ""}},
		"a write after the sync":            {append(slices.Clone(file), Op{Kind: Write, File: 1, Data: []byte("b"), Start: 8, End: 8}), []Sync{named, {"fdatasync", 1, 6, 7}}, map[string]string{"f": "a"}},
		"truncated":                         {append(slices.Clone(file), Op{Kind: Truncate, File: 1, Size: 0, Start: 6, End: 6}), []Sync{named, {"fdatasync", 1, 7, 7}}, map[string]string{"f": ""}},
		"grown":                             {append(slices.Clone(file), Op{Kind: Truncate, File: 1, Size: 3, Start: 6, End: 6}), []Sync{named, {"fdatasync", 1, 7, 7}}, map[string]string{"f": "a\x00\x00"}},
		"renamed, and the directory synced": {append(slices.Clone(file), Op{Kind: Rename, File: 1, Name: "g", From: "f", Start: 6, End: 6}), []Sync{named, {"fsync", 1, 6, 6}, {"fsync", 0, 7, 7}}, map[string]string{"g": "a"}},
		"renamed, not synced":               {append(slices.Clone(file), Op{Kind: Rename, File: 1, Name: "g", From: "f", Start: 6, End: 6}), []Sync{named, {"fsync", 1, 7, 7}}, map[string]string{"f": "a"}},
		"removed, and the directory synced": {append(slices.Clone(file), Op{Kind: Unname, Name: "f", Start: 6, End: 6}), []Sync{named, {"fsync", 0, 7, 7}}, map[string]string{}},
		"a file below a directory that has no name yet": {[]Op{
			{Kind: Name, File: 1, Name: "d", Folder: true, Start: 1, End: 1},
			{Kind: Name, File: 2, Dir: 1, Name: "f", Start: 2, End: 2},
		}, []Sync{{"fsync", 1, 3, 3}}, map[string]string{}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := NewDisk(&Recording{Length: 10, Ops: tt.ops, Syncs: tt.syncs}, nil)
			d.Advance(10)
			if got := left(t, d, Nothing, 1); !maps.Equal(got, tt.want) {
				t.Errorf("the files are %q, want %q", got, tt.want)
			}
		})
	}
}

// A file with two names is one file, whichever of the names are kept.
func TestTwoNames(t *testing.T) {
	t.Parallel()
	d := NewDisk(&Recording{Length: 10, Ops: []Op{
		{Kind: Name, File: 1, Name: "f.new", Start: 1, End: 1},
		{Kind: Write, File: 1, Data: []byte("a"), Start: 2, End: 2},
		{Kind: Name, File: 1, Name: "f", Start: 4, End: 4},
		{Kind: Unname, Name: "f.new", Start: 5, End: 5},
	}, Syncs: []Sync{{"fsync", 1, 3, 3}}}, nil)
	d.Advance(4)
	dir := t.TempDir()
	if err := d.Cut(Everything, random(1)).WriteTo(dir); err != nil {
		t.Fatal(err)
	}
	one, err := os.Stat(filepath.Join(dir, "f"))
	if err != nil {
		t.Fatal(err)
	}
	other, err := os.Stat(filepath.Join(dir, "f.new"))
	if err != nil || !os.SameFile(one, other) || one.Size() != 1 {
		t.Errorf("f and f.new are not the same file of one byte (%v)", err)
	}
	d.Advance(10)
	if got := left(t, d, Newest, 1); len(got) != 0 {
		t.Errorf("the files are %q, although only the removal of a name is kept", got)
	}
	if got := left(t, d, Everything, 1); !maps.Equal(got, map[string]string{"f": "a"}) {
		t.Errorf("the files are %q", got)
	}
}

// SQLite's shared memory may exist or not, and may have any content.
func TestSharedMemory(t *testing.T) {
	t.Parallel()
	rec := &Recording{Length: 2, Ops: []Op{{Kind: Name, File: 1, Name: "db-shm", Shared: true, Start: 1, End: 1}}}
	var kinds [4]bool
	for content := range outcomes(t, rec, Whole, "db-shm") {
		switch {
		case content == "-":
			kinds[0] = true
		case content == "":
			kinds[1] = true
		case strings.Trim(content, "\x00") == "":
			kinds[2] = true
		default:
			kinds[3] = true
		}
	}
	if kinds != [4]bool{true, true, true, true} {
		t.Errorf("absent, empty, zeros, random: %v, want each of them", kinds)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "db-shm"), []byte("whatever"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := rec.Matches(dir); err != nil {
		t.Errorf("Matches() = %v", err)
	}
}

// outcomes returns all contents of a file that many cuts leave, "-" for no file.
func outcomes(t *testing.T, rec *Recording, m Manner, name string) map[string]bool {
	t.Helper()
	d := NewDisk(rec, nil)
	d.Advance(rec.Length)
	found := make(map[string]bool)
	for seed := range uint64(200) {
		content, ok := left(t, d, m, seed)[name]
		if !ok {
			content = "-"
		}
		found[content] = true
	}
	return found
}

// A file is replaced by a new one that was never synced, which is the classic way to get an empty file.
func TestRenameBeforeData(t *testing.T) {
	t.Parallel()
	rec := &Recording{
		Length: 10,
		Ops: []Op{
			{Kind: Name, File: 1, Name: "f", Start: 1, End: 1},
			{Kind: Write, File: 1, Data: []byte("old"), Start: 2, End: 2},
			{Kind: Name, File: 2, Name: "f.new", Start: 4, End: 4},
			{Kind: Write, File: 2, Data: []byte("new"), Start: 5, End: 5},
			{Kind: Rename, File: 2, Name: "f", From: "f.new", Start: 6, End: 6},
		},
		Syncs: []Sync{{"fsync", 1, 3, 3}, {"fsync", 0, 3, 3}},
	}
	got := outcomes(t, rec, Torn, "f")
	for _, want := range []string{"old", "new", "", "\x00\x00\x00"} {
		if !got[want] {
			t.Errorf("no cut has left %q", want)
		}
		delete(got, want)
	}
	if len(got) > 0 {
		t.Errorf("cuts have also left %q", slices.Collect(maps.Keys(got)))
	}

	rec.Syncs = append(rec.Syncs, Sync{"fsync", 2, 5, 5})
	rec.Ops[4].Start, rec.Ops[4].End = 7, 7
	rec.Ops[3].Start, rec.Ops[3].End = 4, 4
	if got := outcomes(t, rec, Torn, "f"); !maps.Equal(got, map[string]bool{"old": true, "new": true}) {
		t.Errorf("with the data synced before, cuts have left %q", slices.Collect(maps.Keys(got)))
	}
}

// sectors returns the recording of a file with three sectors of a, and a write of b that starts in the middle of the
// second sector and ends with the third.
func sectors() *Recording {
	return &Recording{
		Length: 10,
		Ops: []Op{
			{Kind: Name, File: 1, Name: "f", Start: 1, End: 1},
			{Kind: Write, File: 1, Data: bytes.Repeat([]byte("a"), 3*sectorSize), Start: 1, End: 1},
			{Kind: Write, File: 1, Offset: sectorSize + 100, Data: bytes.Repeat([]byte("b"), 2*sectorSize-100), Start: 4, End: 4},
		},
		Syncs: []Sync{{"fsync", 1, 2, 2}, {"fsync", 0, 3, 3}},
	}
}

func TestTornSectors(t *testing.T) {
	t.Parallel()
	a, b := func(n int) string { return strings.Repeat("a", n) }, func(n int) string { return strings.Repeat("b", n) }
	first, second := a(sectorSize+100), sectorSize-100
	want := map[string]bool{
		first + a(second) + a(sectorSize): true, first + b(second) + a(sectorSize): true,
		first + a(second) + b(sectorSize): true, first + b(second) + b(sectorSize): true,
	}
	if got := outcomes(t, sectors(), Torn, "f"); !maps.Equal(got, want) {
		t.Errorf("%d contents were left, want the %d combinations of two sectors", len(got), len(want))
	}
	delete(want, first+b(second)+a(sectorSize))
	delete(want, first+a(second)+b(sectorSize))
	if got := outcomes(t, sectors(), Whole, "f"); !maps.Equal(got, want) {
		t.Errorf("%d contents were left, want the %d with all or nothing of the write", len(got), len(want))
	}
}

func TestStale(t *testing.T) {
	t.Parallel()
	garbage := func(rec *Recording) (found bool) {
		for content := range outcomes(t, rec, Stale, "f") {
			found = found || strings.Trim(content, "ab\x00-") != ""
		}
		return found
	}
	if garbage(sectors()) {
		t.Error("stored data was replaced by random data")
	}
	grown := sectors()
	grown.Ops[2].Offset = 2 * pageSize
	if !garbage(grown) {
		t.Error("parts that were never stored were never random")
	}
}

func TestManners(t *testing.T) {
	t.Parallel()
	for _, m := range Manners {
		kinds := make(map[survival]bool)
		for seed := range uint64(50) {
			for _, f := range m.survivals(4, random(seed)) {
				kinds[f] = true
			}
		}
		want := map[Manner]int{Nothing: 1, Everything: 1, Newest: 2, Ordered: 5, Whole: 2, Torn: 3, Stale: 3}[m]
		if len(kinds) != want {
			t.Errorf("%s: %d different survivals, want %d", m, len(kinds), want)
		}
	}
	if f := Newest.survivals(3, random(1)); f[0] != lost || f[1] != lost || f[2] != kept {
		t.Errorf("newest: %+v", f)
	}
}

func TestMatches(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	rec := sectors()
	d := NewDisk(rec, nil)
	d.Advance(rec.Length)
	if err := d.Cut(Everything, random(1)).WriteTo(dir); err != nil {
		t.Fatal(err)
	}
	if err := rec.Matches(dir); err != nil {
		t.Errorf("Matches() = %v", err)
	}
	rec.Ops[2].Data[7]++
	if err := rec.Matches(dir); err == nil {
		t.Error("Matches() = nil for a byte that was not recorded")
	}
	rec = sectors()
	if err := os.WriteFile(filepath.Join(dir, "g"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := rec.Matches(dir); err == nil {
		t.Error("Matches() = nil for a file that was not recorded")
	}
}

func TestPlan(t *testing.T) {
	t.Parallel()
	rec := sectors()
	rec.Answers = []Answer{{"a", 9}}
	if got, want := rec.moments(), []int{1, 2, 3, 4, 9}; !slices.Equal(got, want) {
		t.Errorf("moments() = %v, want %v", got, want)
	}
	if got, want := len(rec.Exhaust(3, random(1))), 4*(3+4*3*8)+(3+4*3); got != want {
		t.Errorf("Exhaust() has %d cuts, want %d", got, want)
	}
	cuts := rec.Sample(100, random(1))
	if len(cuts) != 100 {
		t.Errorf("Sample() has %d cuts, want 100", len(cuts))
	}
	near := make(map[Cut]bool)
	for _, c := range cuts {
		near[Cut{At: c.At, Manner: c.Manner}] = true
	}
	for _, m := range Manners {
		for _, at := range []int{1, 2, 3, 4} { // the name is made at 1
			if !near[Cut{At: at, Manner: m}] {
				t.Errorf("there is no cut at moment %d in the manner %s", at, m)
			}
		}
	}
}
