// SPDX-License-Identifier: Apache-2.0

package rekorv2_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hallmark-dev/hallmark/signer/tlog"
	"github.com/hallmark-dev/hallmark/signer/tlog/writers"
)

// What a proved write costs without network and disk, 64 clients at a time:
// the request's JSON, its signature (60 us of P-256), batch, proof, answer.
func BenchmarkWrite(b *testing.B) {
	w := signers(b)[0]
	for name, adjust := range map[string]func(*tlog.Config, *writers.Config){
		"certificate": nil,
		"registered key": func(_ *tlog.Config, cfg *writers.Config) {
			i := newIssuer(b, w)
			cfg.Mode, cfg.CheckIssued = writers.Issued, i.check
			cfg.Keys = []writers.Key{{Name: "bench", Owner: "bench", PublicKey: w.key.Public(), Expires: time.Now().Add(time.Hour), PerMinute: 1 << 30}}
		},
	} {
		b.Run(name, func(b *testing.B) {
			e := newEnv(b, adjust)
			i := newIssuer(b, w)
			cert := i.request(w, "artifact").Signature.Verifier.GetX509Certificate().RawBytes
			contents := make([]string, b.N)
			for n := range contents {
				req := w.request(b, fmt.Sprint("artifact ", n))
				if adjust == nil {
					req = spelled(req, req.Signature.Content, cert)
				}
				contents[n] = body(b, req)
			}
			var next atomic.Int64
			b.ReportAllocs()
			b.SetParallelism(32)
			b.ResetTimer()
			b.RunParallel(func(p *testing.PB) {
				for p.Next() {
					recorder := httptest.NewRecorder()
					req := httptest.NewRequestWithContext(b.Context(), http.MethodPost, "/api/v2/log/entries", strings.NewReader(contents[next.Add(1)-1]))
					e.service.ServeHTTP(recorder, req)
					if recorder.Code != http.StatusCreated {
						b.Errorf("%d %s", recorder.Code, recorder.Body)
						return
					}
				}
			})
		})
	}
}
