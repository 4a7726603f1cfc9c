// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"
)

// TestImagesOf: what a receipt's statement says is shown, and nothing of a
// stranger reaches the terminal as it is.
func TestImagesOf(t *testing.T) {
	const digest = "sha256:1111111111111111111111111111111111111111111111111111111111111111"
	statement := func(predicate string) []byte {
		return []byte(`{"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{"sha256":"` + digest[len("sha256:"):] + `"}}],` +
			`"predicateType":"https://hallmark.dev/attestation/chart-images/v1","predicate":` + predicate + `}`)
	}
	const head = `{"chart":{"name":"app","version":"1.0.0","archive":"` + digest + `"},"renders":[{"values":"defaults","manifests":1}],"images":`
	images := imagesOf(statement(head + `[{"reference":"r.example/a:1","places":["x"],"digest":"` + digest + `","pinned":false,"signed":true},` +
		`{"reference":"busy\u001bbox","places":["x"],"guessed":true,"pinned":false,"signed":false,"problem":"it is not in the central registry"},` +
		`{"reference":"r.example/b:1","places":["x"],"digest":"` + digest + `","pinned":false,"signed":false,"revoked":"it was revoked on 2026-01-02: a hole","problem":"it is revoked"}]}`))
	var out strings.Builder
	printImages(&out, images)
	want := "image\tr.example/a:1\tsigned\t" + digest + "\n" +
		"image\tbusy\uFFFDbox\tnot signed\tit is not in the central registry (taken for an image by its form)\n" +
		"image\tr.example/b:1\trevoked\tit was revoked on 2026-01-02: a hole\n"
	if out.String() != want {
		t.Errorf("printed %q, want %q", out.String(), want)
	}
	for _, bad := range []string{"", "{}", "[]", "words", string(statement("{}")), strings.Repeat(string(statement(head+"[]}")), 2)} {
		if got := imagesOf([]byte(bad)); got != nil {
			t.Errorf("%q: %v", bad, got)
		}
	}
}
