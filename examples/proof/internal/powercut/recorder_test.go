package powercut

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
)

const root = "/srv/disk"

// path returns a quoted path below root.
func path(name string) string { return quoted(root + "/" + name) }

// sampleLog is the log of the start of a queue. Its lines are numbered from 1.
var sampleLog = []string{
	`10  openat(AT_FDCWD, ` + quoted("/etc/hosts") + `, O_RDONLY) = 3`,
	`10  write(3, ` + quoted("not below root") + `, 14) = 14`,
	`10  mkdirat(AT_FDCWD, ` + path("made") + `, 0700 <unfinished ...>`,
	`11  openat(AT_FDCWD, ` + path("made/no") + `, O_RDONLY) = -1 ENOENT (No such file or directory)`,
	`10  <... mkdirat resumed>) = 0`,
	`10  openat(AT_FDCWD, ` + quoted(root) + `, O_RDONLY|O_CLOEXEC) = 4`,
	`10  fsync(4) = 0`,
	`10  close(4) = 0`,
	`10  openat(AT_FDCWD, ` + path("made/queue.db") + `, O_RDWR|O_CREAT|O_CLOEXEC, 0600) = 4`,
	`10  pwrite64(4, ` + quoted("abc") + `, 3, 4096 <unfinished ...>`,
	`11  fdatasync(4 <unfinished ...>`,
	`10  <... pwrite64 resumed>) = 2`,
	`11  <... fdatasync resumed>) = 0`,
	`10  ftruncate(4, 8192) = 0`,
	`10  fallocate(4, 0, 8192, 100) = 0`,
	`10  fallocate(4, 0, 0, 100) = 0`,
	`10  fallocate(4, FALLOC_FL_KEEP_SIZE, 0, 9000) = 0`,
	`10  fdatasync(4) = -1 EIO (Input/output error)`,
	`10  openat(AT_FDCWD, ` + path("made/key.1") + `, O_RDWR|O_CREAT|O_EXCL|O_CLOEXEC, 0600) = 5`,
	`10  fcntl(5, F_DUPFD_CLOEXEC, 0) = 6`,
	`10  write(5, ` + quoted("12") + `, 2) = 2`,
	`10  write(6, ` + quoted("34") + `, 2) = 2`,
	`10  lseek(6, 1, SEEK_SET) = 1`,
	`10  writev(5, [{iov_base=` + quoted("5") + `, iov_len=1}, {iov_base=` + quoted("6") + `, iov_len=1}], 2) = 2`,
	`10  close(5) = 0`,
	`10  renameat(AT_FDCWD, ` + path("made/key.1") + `, AT_FDCWD, ` + path("made/key") + `) = 0`,
	`10  openat(AT_FDCWD, ` + path("made") + `, O_RDONLY|O_CLOEXEC) = 5`,
	`10  fsync(5) = 0`,
	`10  linkat(AT_FDCWD, ` + path("made/key") + `, AT_FDCWD, ` + path("key") + `, 0) = 0`,
	`10  unlinkat(AT_FDCWD, ` + path("made/queue.db") + `, 0) = 0`,
	`10  mmap(NULL, 4096, PROT_READ, MAP_SHARED, 4, 0) = 0x7f0000000000`,
	`10  open(` + path("made/db-shm") + `, O_RDWR|O_CREAT|O_NOFOLLOW|O_CLOEXEC, 0644) = 7`,
	`10  ftruncate(7, 3) = 0`,
	`10  fcntl(7, F_SETLK, {l_type=F_WRLCK, l_whence=SEEK_SET, l_start=120, l_len=1}) = 0`,
	`10  pwrite64(7, ` + quoted("0") + `, 1, 32767) = 1`,
	`10  mmap(NULL, 32768, PROT_READ|PROT_WRITE, MAP_SHARED, 7, 0) = 0x7f0000001000`,
	`10  unlink(` + path("made/db-shm") + `) = 0`,
	`11  +++ exited with 0 +++`,
}

func TestRead(t *testing.T) {
	t.Parallel()
	rec, err := Read(strings.NewReader(strings.Join(sampleLog, "\n")+"\n10  fsync(4"), root, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := []Op{
		{Kind: Name, Dir: 0, Name: "made", File: 1, Folder: true, Start: 3, End: 5},
		{Kind: Name, Dir: 1, Name: "queue.db", File: 2, Start: 9, End: 9},
		{Kind: Write, File: 2, Offset: 4096, Data: []byte("ab"), Start: 10, End: 12},
		{Kind: Truncate, File: 2, Size: 8192, Start: 14, End: 14},
		{Kind: Truncate, File: 2, Size: 8292, Start: 15, End: 15},
		{Kind: Name, Dir: 1, Name: "key.1", File: 3, Start: 19, End: 19},
		{Kind: Write, File: 3, Data: []byte("12"), Start: 21, End: 21},
		{Kind: Write, File: 3, Offset: 2, Data: []byte("34"), Start: 22, End: 22},
		{Kind: Write, File: 3, Offset: 1, Data: []byte("56"), Start: 24, End: 24},
		{Kind: Rename, Dir: 1, Name: "key", From: "key.1", File: 3, Start: 26, End: 26},
		{Kind: Name, Dir: 0, Name: "key", File: 3, Start: 29, End: 29},
		{Kind: Unname, Dir: 1, Name: "queue.db", Start: 30, End: 30},
		{Kind: Name, Dir: 1, Name: "db-shm", File: 4, Shared: true, Start: 32, End: 32},
		{Kind: Unname, Dir: 1, Name: "db-shm", Start: 37, End: 37},
	}
	if !reflect.DeepEqual(rec.Ops, want) {
		t.Errorf("the changes are\n%+v, want\n%+v", rec.Ops, want)
	}
	wantSyncs := []Sync{{"fsync", 0, 7, 7}, {"fdatasync", 2, 11, 13}, {"fsync", 1, 28, 28}}
	if !slices.Equal(rec.Syncs, wantSyncs) {
		t.Errorf("the syncs are %+v, want %+v", rec.Syncs, wantSyncs)
	}
	if rec.Length != len(sampleLog) {
		t.Errorf("Length = %d, want %d", rec.Length, len(sampleLog))
	}
}

func TestReadRejects(t *testing.T) {
	t.Parallel()
	opened := `1  openat(AT_FDCWD, ` + path("f") + `, O_RDWR|O_CREAT, 0600) = 4` + "\n"
	tests := map[string]struct{ log, says string }{
		"nothing recorded":         {`1  fsync(9) = 0`, "nothing in it changed"},
		"a truncated string":       {opened + `1  pwrite64(4, ` + quoted("abc") + `..., 4096, 0) = 4096`, "whole string"},
		"more written than logged": {opened + `1  write(4, ` + quoted("abc") + `, 9) = 9`, "the log has 3"},
		"an older file":            {`1  openat(AT_FDCWD, ` + path("f") + `, O_RDWR) = 4`, "before the recording started"},
		"an older directory":       {`1  mkdirat(AT_FDCWD, ` + path("a/b") + `, 0700) = 0`, "in an unknown directory"},
		"written through memory":   {opened + `1  mmap(NULL, 4096, PROT_READ|PROT_WRITE, MAP_SHARED, 4, 0) = 0x1000`, "through memory"},
		"copied in the kernel":     {opened + `1  copy_file_range(3, NULL, 4, NULL, 100, 0) = 100`, "not recorded"},
		"a hole":                   {opened + `1  fallocate(4, FALLOC_FL_KEEP_SIZE|FALLOC_FL_PUNCH_HOLE, 0, 100) = 0`, "not recorded"},
		"linked from elsewhere":    {opened + `1  linkat(AT_FDCWD, ` + quoted("/tmp/f") + `, AT_FDCWD, ` + path("g") + `, 0) = 0`, "from outside"},
		"a symbolic link":          {opened + `1  symlinkat(` + path("f") + `, AT_FDCWD, ` + path("g") + `) = 0`, "not recorded"},
		"moved out":                {opened + `1  renameat(AT_FDCWD, ` + path("f") + `, AT_FDCWD, ` + quoted("/tmp/f") + `) = 0`, "another directory"},
		"an end without a start":   {opened + `1  <... fsync resumed>) = 0`, "did not start"},
		"a call within a call":     {opened + "1  fsync(4 <unfinished ...>\n1  fsync(4) = 0", "within another"},
		"a line of another form":   {opened + "strace: Process 5 attached", "process id"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := Read(strings.NewReader(tt.log+"\n"), root, nil); err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("Read() = %v, want an error with %q", err, tt.says)
			}
		})
	}
}

func TestReadRecordsTraffic(t *testing.T) {
	t.Parallel()
	answer := "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n" + `{"received":true,"id":"soniox-1","duplicate":true}`
	delivery := "POST /events HTTP/1.1\r\nHost: 127.0.0.1:9000\r\nscribegate-attempt: 1\r\nwebhook-id: soniox-1\r\n\r\nwebhook-id: other"
	log := []string{
		sampleLog[2], sampleLog[4],
		`10  write(7, ` + quoted(answer) + `, 99 <unfinished ...>`,
		`11  sendto(8, ` + quoted(delivery) + `, 99, 0, NULL, 0) = 99`,
		`10  <... write resumed>) = 99`,
		`10  write(7, ` + quoted(strings.Replace(answer, "200 OK", "401 Unauthorized", 1)) + `, 99) = 99`,
		`10  write(7, ` + quoted("POST / HTTP/1.1\r\nHost: a\r\n\r\n") + `, 99) = 99`,
	}
	rec, err := Read(strings.NewReader(strings.Join(log, "\n")+"\n"), root, nil)
	if err != nil {
		t.Fatal(err)
	}
	if want := []Answer{{"soniox-1", 3}}; !slices.Equal(rec.Answers, want) {
		t.Errorf("the answers are %+v, want %+v: from the start of the write", rec.Answers, want)
	}
	if want := []Request{{"127.0.0.1:9000", "soniox-1", 4}}; !slices.Equal(rec.Requests, want) {
		t.Errorf("the requests are %+v, want %+v", rec.Requests, want)
	}
}

// No log of strace may cause a panic.
func FuzzRead(f *testing.F) {
	f.Add(strings.Join(sampleLog, "\n") + "\n")
	f.Add("1  fsync(4 <unfinished ...>\n1  <... fsync resumed>) = 0\n")
	f.Fuzz(func(t *testing.T, log string) {
		rec, err := Read(strings.NewReader(log), root, nil)
		if err != nil {
			return
		}
		for i := range rec.Ops {
			if o := &rec.Ops[i]; o.Start < 1 || o.End < o.Start || o.End > rec.Length || o.Offset < 0 || o.Size < 0 {
				t.Errorf("an invalid change: %s", fmt.Sprintf("%+v", o))
			}
		}
	})
}
