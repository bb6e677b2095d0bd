package main

import "testing"

// A file of a data set is named below its location, before what follows "?".
func TestInSet(t *testing.T) {
	for _, c := range [][2]string{
		{"data/mine", "data/mine/a.csv"},
		{"data/mine/", "data/mine/a.csv"},
		{"s3://b/mine", "s3://b/mine/a.csv"},
		{"s3://b/mine/?endpoint=http://h:1/", "s3://b/mine/a.csv?endpoint=http://h:1/"},
		{"http://h/mine", "http://h/mine/a.csv"},
	} {
		if got := inSet(c[0], "a.csv"); got != c[1] {
			t.Errorf("inSet(%q) = %q, want %q", c[0], got, c[1])
		}
	}
}

// What a command proposes can be pasted into a shell.
func TestShellWord(t *testing.T) {
	for _, c := range [][2]string{
		{"data/mine", "data/mine"},
		{"données/鸟", "données/鸟"},
		{"my data", "'my data'"},
		{"it's", `'it'\''s'`},
		{"s3://b/n?endpoint=http://h:1", "'s3://b/n?endpoint=http://h:1'"},
		{"~x", "'~x'"},
		{"", "''"},
	} {
		if got := shellWord(c[0]); got != c[1] {
			t.Errorf("shellWord(%q) = %q, want %q", c[0], got, c[1])
		}
	}
}
