// SPDX-License-Identifier: Apache-2.0

package documents

import (
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/hallmark-dev/hallmark/internal/lab"
)

// TestSlowProject: a project whose large documents never come to an end takes its
// own places, and not those of other projects of the same CI.
func TestSlowProject(t *testing.T) {
	l := lab.Start(t, lab.Options{Signing: "embedEvidence: 64KiB"})
	slow := newJob(t, l)
	image := l.PushSmall(t, "acme/app", "v1")
	body := "--b\r\nContent-Disposition: form-data; name=\"request\"\r\n\r\n" + fmt.Sprintf(`{"image": %q, "evidence": [{"part": "a", "kind": "sbom"}]}`, image) +
		"\r\n--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n" + strings.Repeat(" ", 64<<10)
	const places = 8 // of one project
	for i := range places {
		conn, err := net.Dial("tcp", strings.TrimPrefix(l.URL, "http://")) //nolint:noctx // a test's
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		if _, err := fmt.Fprintf(conn, "POST /hallmark/v1/attest HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer %s\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: 1000000\r\n\r\n%s", slow.Bearer, body); err != nil {
			t.Fatal(err)
		}
		until(t, "a document is received", func() bool { return len(spooled(t, l)) == i+1 })
	}
	large := slow.File(t, "sbom.json", spdx(50_000)) // 5 MB
	if r := l.Hallmark(t, slow.Bearer, "attest", image, "--sbom", large); r.Code != 3 || !strings.Contains(r.Stderr, "of the same project") {
		t.Errorf("the same project: %d %s", r.Code, r.Stderr)
	}
	other := newJob(t, l, "repository=acme/other", "repository_id=4711", "workflow_ref=acme/other/.github/workflows/release.yml@refs/heads/main", "job_workflow_ref=acme/other/.github/workflows/release.yml@refs/heads/main")
	if receipts := other.attest(t, l.PushSmall(t, "acme/other", "v1"), "--sbom", large); len(receipts) != 1 {
		t.Errorf("%d receipts", len(receipts))
	}
}
