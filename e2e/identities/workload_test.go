// SPDX-License-Identifier: Apache-2.0

package identities

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spiffe/go-spiffe/v2/proto/spiffe/workload"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hallmark-dev/hallmark/internal/devissuer"
	"github.com/hallmark-dev/hallmark/internal/lab"
)

// agent is a SPIFFE agent: a small real server of the Workload API.
type agent struct {
	workload.UnimplementedSpiffeWorkloadAPIServer
	t   *testing.T
	lab *lab.Lab
	// registered says whether it knows the workload that asks.
	registered bool
}

// FetchJWTSVID implements the Workload API.
func (a *agent) FetchJWTSVID(_ context.Context, r *workload.JWTSVIDRequest) (*workload.JWTSVIDResponse, error) {
	if !a.registered {
		return nil, status.Error(codes.PermissionDenied, "no identity issued")
	}
	if len(r.GetAudience()) != 1 || r.GetAudience()[0] != a.lab.Origin {
		return nil, status.Errorf(codes.InvalidArgument, "audience %q", r.GetAudience())
	}
	id := "spiffe://" + devissuer.TrustDomain + "/ns/acme-ci/sa/release"
	return &workload.JWTSVIDResponse{Svids: []*workload.JWTSVID{{SpiffeId: id, Svid: a.lab.Token(a.t, devissuer.SPIFFE)}}}, nil
}

// TestWorkloadAPI: a workload signs without being told its token; one that the
// agent does not know is told why not.
func TestWorkloadAPI(t *testing.T) {
	l := lab.Start(t, lab.Options{})
	image := l.PushSmall(t, "acme/app", "workload")
	for name, tc := range map[string]struct {
		registered bool
		code       int
		says       string
	}{
		"registered": {true, 0, "spiffe://ci.acme.example/ns/acme-ci/sa/release"},
		"unknown":    {false, 3, "no identity issued"},
	} {
		t.Run(name, func(t *testing.T) {
			dir, err := os.MkdirTemp("", "agent") // a socket's path is short
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = os.RemoveAll(dir) })
			socket := filepath.Join(dir, "api.sock")
			listener, err := net.Listen("unix", socket) //nolint:noctx // immediate
			if err != nil {
				t.Fatal(err)
			}
			server := grpc.NewServer()
			workload.RegisterSpiffeWorkloadAPIServer(server, &agent{t: t, lab: l, registered: tc.registered})
			go func() { _ = server.Serve(listener) }() // ends with Stop
			t.Cleanup(server.Stop)
			got := lab.Run(t, "", []string{"HOME=" + dir, "HALLMARK_URL=" + l.URL, "SPIFFE_ENDPOINT_SOCKET=unix://" + socket},
				lab.Program(t, "hallmark"), "sign", image)
			if got.Code != tc.code || !strings.Contains(got.Stdout+got.Stderr, tc.says) {
				t.Errorf("exit code %d: %s%s", got.Code, got.Stdout, got.Stderr)
			}
		})
	}
}
