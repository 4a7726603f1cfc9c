// SPDX-License-Identifier: Apache-2.0

package helm

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// block is a header and its content as they stand in an archive, without any of
// archive/tar's care.
func block(name string, kind byte, content string) []byte {
	h := make([]byte, 512)
	copy(h, name)
	copy(h[100:], "0000644\x000000000\x000000000\x00")
	copy(h[124:], fmt.Sprintf("%011o\x00%011o\x00        ", len(content), packedAt.Unix()))
	h[156] = kind
	copy(h[257:], "ustar\x0000")
	sum := 0
	for _, b := range h {
		sum += int(b)
	}
	copy(h[148:], fmt.Sprintf("%06o\x00 ", sum))
	return slices.Concat(h, []byte(content), make([]byte, (512-len(content)%512)%512))
}

// record is one of an extended header (POSIX.1-2001, pax).
func record(name, value string) string {
	text := " " + name + "=" + value + "\n"
	n := len(text) + 2
	if n > 99 {
		n++
	}
	return fmt.Sprint(n) + text
}

func gzipped(t *testing.T, parts ...[]byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	for _, p := range parts {
		if _, err := w.Write(p); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// An extended header says that a file is another one, or larger, than its own
// header does: what counts is what Helm's loader makes of it.
func TestExtendedHeaders(t *testing.T) {
	end := make([]byte, 1024)
	chart := block("app/Chart.yaml", tar.TypeReg, chartYAML)
	harmless := block("app/values.yaml", tar.TypeReg, "a: 1\n")
	pax := func(records ...string) []byte {
		return block("app/PaxHeaders/x", tar.TypeXHeader, strings.Join(records, ""))
	}
	if c, err := Read(gzipped(t, chart, pax(record("comment", "hello")), harmless, end)); err != nil || c.Name != "app" {
		t.Fatalf("the blocks of this test are none: %v", err)
	}
	for name, tc := range map[string]struct {
		parts [][]byte
		says  string
	}{
		"another path":        {[][]byte{chart, pax(record("path", "app/../../etc/passwd")), harmless, end}, "leaves the chart's folder"},
		"another folder":      {[][]byte{chart, pax(record("path", "other/values.yaml")), harmless, end}, "two folders"},
		"the same file again": {[][]byte{chart, pax(record("path", "app/Chart.yaml")), harmless, end}, "there twice"},
		"a larger file":       {[][]byte{chart, pax(record("size", "99999999999")), harmless, end}, "the limit is"},
		"a negative size":     {[][]byte{chart, pax(record("size", "-1")), harmless, end}, "not a tar archive"},
		"a link":              {[][]byte{chart, pax(record("linkpath", "/etc/passwd")), block("app/x", tar.TypeSymlink, ""), end}, "neither a file nor a folder"},
		"a sparse file":       {[][]byte{chart, block("app/x", tar.TypeGNUSparse, ""), end}, "not a tar archive"},
		"a sparse file of pax": {
			[][]byte{chart, pax(record("GNU.sparse.major", "1"), record("GNU.sparse.minor", "0"), record("GNU.sparse.realsize", "99999999999")), harmless, end}, "not a tar archive",
		},
		"a GNU long name":    {[][]byte{chart, block("././@LongLink", tar.TypeGNULongName, "app/../../x\x00"), harmless, end}, "leaves the chart's folder"},
		"a name with a NUL":  {[][]byte{chart, pax(record("path", "app/x\x00y")), harmless, end}, "not a tar archive"},
		"a broken record":    {[][]byte{chart, pax("99 path=app/x\n"), harmless, end}, "not a tar archive"},
		"a flood of headers": {[][]byte{chart, pax(record("comment", strings.Repeat("x", 2<<20))), harmless, end}, "not a tar archive"},
	} {
		if _, err := Read(gzipped(t, tc.parts...)); !errors.Is(err, ErrChart) || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: %v, want %q", name, err, tc.says)
		}
	}
	// What stands behind the end, and in another member of gzip, is nothing to Helm either.
	for name, archive := range map[string][]byte{
		"behind the end": gzipped(t, chart, harmless, end, block("app/templates/x.yaml", tar.TypeReg, "x")),
		"another member": append(gzipped(t, chart, harmless, end), gzipped(t, block("app/templates/x.yaml", tar.TypeReg, "x"))...),
	} {
		if c, err := Read(archive); err != nil || len(c.Loaded.Templates) != 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
}
