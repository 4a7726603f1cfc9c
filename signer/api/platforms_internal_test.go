// SPDX-License-Identifier: Apache-2.0

package api

import "testing"

// TestDocumentPlatform: both forms of a request take what a document is about.
func TestDocumentPlatform(t *testing.T) {
	b, err := readSignBody([]byte(`{"image": "r/a", "platform": "all", "evidence": [{"name": "a", "platform": "linux/amd64", "document": {}}, {"name": "b", "document": {}}]}`))
	if err != nil || b.platform != "all" || b.documents[0].Platform != "linux/amd64" || b.documents[1].Platform != "" {
		t.Errorf("%+v, %v", b, err)
	}
	p, err := readPartsRequest([]byte(`{"image": "r/a", "evidence": [{"part": "a", "platform": "linux/amd64"}, {"part": "b"}]}`))
	if err != nil || p.Evidence[0].Platform != "linux/amd64" || p.Evidence[1].Platform != "" {
		t.Errorf("%+v, %v", p, err)
	}
	for _, bad := range []string{`["linux/amd64"]`, `1`, `"a", "platform": "b"`} {
		if _, err := readSignBody([]byte(`{"image": "r/a", "evidence": [{"platform": ` + bad + `, "document": {}}]}`)); err == nil {
			t.Errorf("%s in JSON", bad)
		}
		if _, err := readPartsRequest([]byte(`{"image": "r/a", "evidence": [{"part": "a", "platform": ` + bad + `}]}`)); err == nil {
			t.Errorf("%s in parts", bad)
		}
	}
}
