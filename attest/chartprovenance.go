// SPDX-License-Identifier: Apache-2.0

package attest

import (
	"errors"
	"fmt"
	"strings"
)

// endOfChart parts Chart.yaml from the digests in what a provenance file signs.
const endOfChart = "\n...\n"

// ProvenanceMessage is what the provenance file of a chart signs: the report's
// Chart.yaml, and the digest of the archive under the name that `helm package`
// gives it. Source: helm.sh/helm/v3/pkg/provenance.
func (r ChartReport) ProvenanceMessage(archive Digest) (string, error) {
	if strings.Contains("\n"+r.Message, endOfChart) {
		return "", errors.New("a line of Chart.yaml ends it") // cannot be: it was written anew
	}
	return r.Message + endOfChart + fmt.Sprintf("files:\n  %s-%s.tgz: %s\n", r.Name, r.Version, archive), nil
}
