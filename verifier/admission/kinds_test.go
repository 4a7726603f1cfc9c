// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"encoding/json"
	"reflect"
	"slices"
	"sort"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/scheme"
)

// walk calls visit with the JSON path and type of everything reachable from t. Lists and maps show as "[]". Types that contain themselves
// (JSON schemas) are entered once per path.
func walk(t reflect.Type, path string, open []reflect.Type, visit func(path string, t reflect.Type) (enter bool)) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if slices.Contains(open, t) || !visit(path, t) {
		return
	}
	switch t.Kind() {
	case reflect.Slice, reflect.Array, reflect.Map:
		walk(t.Elem(), path+"[]", open, visit)
	case reflect.Struct:
		for i := range t.NumField() {
			field := t.Field(i)
			name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			switch {
			case !field.IsExported() || name == "-":
			case name == "":
				walk(field.Type, path, append(open, t), visit)
			default:
				walk(field.Type, strings.TrimPrefix(path+"."+name, "."), append(open, t), visit)
			}
		}
	}
}

// TestEveryKindThatEmbedsAPodSpecIsKnown fails when a Kubernetes release adds a kind that is or makes pods.
func TestEveryKindThatEmbedsAPodSpecIsKnown(t *testing.T) {
	podSpec := reflect.TypeFor[corev1.PodSpec]()
	found := map[string][]string{} // "group/kind" -> paths
	for gvk, typ := range scheme.Scheme.AllKnownTypes() {
		if strings.HasSuffix(gvk.Kind, "List") {
			continue
		}
		walk(typ, "", nil, func(path string, at reflect.Type) bool {
			if at != podSpec {
				return true
			}
			key := gvk.Group + "/" + gvk.Kind
			if !slices.Contains(found[key], path) {
				found[key] = append(found[key], path)
			}
			return false
		})
	}
	known := map[string][]string{}
	for _, k := range kinds() {
		known[k.gvk.Group+"/"+k.gvk.Kind] = []string{k.path}
	}
	// Versions and groups that no supported API server serves any more; their Go types are kept for old clients.
	for _, gone := range []string{"extensions/Deployment", "extensions/DaemonSet", "extensions/ReplicaSet"} {
		if len(found[gone]) == 0 {
			t.Errorf("%s is listed as gone but the Kubernetes types do not have it: remove it from this list", gone)
		}
		delete(found, gone)
	}
	if !reflect.DeepEqual(found, known) {
		t.Errorf("kinds that embed a pod spec:\n in Kubernetes: %v\n known here:    %v\nadd the new ones to kinds() and to the rules of the webhook configuration", sorted(found), sorted(known))
	}
}

func sorted(m map[string][]string) []string {
	var all []string
	for k, v := range m {
		all = append(all, k+" "+strings.Join(v, ","))
	}
	sort.Strings(all)
	return all
}

// TestEveryImageFieldOfAPodSpecIsKnown fails when a Kubernetes release adds a field to pods whose name or type speaks of images.
func TestEveryImageFieldOfAPodSpecIsKnown(t *testing.T) {
	var got []string
	walk(reflect.TypeFor[corev1.PodSpec](), "", nil, func(path string, at reflect.Type) bool {
		last := path[strings.LastIndex(path, ".")+1:]
		name := strings.ToLower(last + " " + at.Name())
		for _, word := range []string{"image", "artifact", "registry", "oci"} {
			if strings.Contains(name, word) && !strings.Contains(name, "associ") {
				got = append(got, path)
				return true
			}
		}
		return true
	})
	want := []string{
		"containers[].image",           // judged
		"containers[].imagePullPolicy", // when to pull, not what
		"ephemeralContainers[].image",  // judged
		"ephemeralContainers[].imagePullPolicy",
		"imagePullSecrets", // credentials
		"imagePullSecrets[]",
		"initContainers[].image", // judged
		"initContainers[].imagePullPolicy",
		"volumes[].image",            // judged: its reference
		"volumes[].quobyte.registry", // a storage server's address
		"volumes[].rbd.image",        // a Ceph block device
	}
	sort.Strings(got)
	got = slices.Compact(got)
	sort.Strings(want)
	if !slices.Equal(got, want) {
		t.Errorf("fields of a pod spec that speak of images:\n in Kubernetes: %q\n known here:    %q\na new one may need to be judged by positions()", got, want)
	}
}

// TestEveryVolumeSourceIsKnown fails when a release adds a kind of volume: it may bring files from a registry, as image volumes did.
func TestEveryVolumeSourceIsKnown(t *testing.T) {
	var got []string
	source := reflect.TypeFor[corev1.VolumeSource]()
	for i := range source.NumField() {
		name, _, _ := strings.Cut(source.Field(i).Tag.Get("json"), ",")
		got = append(got, name)
	}
	sort.Strings(got)
	want := strings.Fields(`awsElasticBlockStore azureDisk azureFile cephfs cinder configMap csi downwardAPI emptyDir ephemeral fc flexVolume
		flocker gcePersistentDisk gitRepo glusterfs hostPath image iscsi nfs persistentVolumeClaim photonPersistentDisk portworxVolume projected
		quobyte rbd scaleIO secret storageos vsphereVolume`)
	if !slices.Equal(got, want) {
		t.Errorf("volume sources:\n in Kubernetes: %q\n known here:    %q", got, want)
	}
	fields := reflect.TypeFor[corev1.ImageVolumeSource]()
	if fields.NumField() != 2 {
		t.Errorf("ImageVolumeSource has %d fields, known are reference and pullPolicy", fields.NumField())
	}
}

// TestEveryKindIsRead puts one image into each of the four lists of each kind and finds them again.
func TestEveryKindIsRead(t *testing.T) {
	for _, k := range kinds() {
		t.Run(k.gvk.Kind, func(t *testing.T) {
			raw := object(t, k, podSpecWith("c", "i", "e", "v"))
			spec, meta, err := k.read(raw)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, p := range positions(spec) {
				got = append(got, string(p.List)+" "+p.Reference)
			}
			want := []string{"container c", "init container i", "ephemeral container e", "image volume v"}
			if !slices.Equal(got, want) {
				t.Errorf("positions: got %q, want %q", got, want)
			}
			if meta.Name != "thing" {
				t.Errorf("metadata: got name %q", meta.Name)
			}
		})
	}
}

func TestDecodeRefusesWhatItDoesNotUnderstand(t *testing.T) {
	tests := map[string]struct {
		raw string
		ok  bool
	}{
		"pod":                          {`{"spec":{"containers":[{"name":"a","image":"x"}]}}`, true},
		"unknown field of a newer API": {`{"spec":{"containers":[{"name":"a","image":"x"}],"newThing":{"a":1}}}`, true},
		"unknown field about images":   {`{"spec":{"containers":[{"name":"a","image":"x","sideImages":["y"]}]}}`, false},
		"unknown list of containers":   {`{"spec":{"containers":[{"name":"a","image":"x"}],"moreContainers":[{"image":"y"}]}}`, false},
		"unknown field of a container": {`{"spec":{"containers":[{"name":"a","image":"x","newThing":1}]}}`, true},
		"unknown kind of volume":       {`{"spec":{"containers":[{"name":"a","image":"x"}],"volumes":[{"name":"v","layer":{"from":"y"}}]}}`, false},
		"unknown option of a volume":   {`{"spec":{"containers":[{"name":"a","image":"x"}],"volumes":[{"name":"v","secret":{"newThing":1}}]}}`, true},
		"image in other case":          {`{"spec":{"containers":[{"name":"a","Image":"x"}]}}`, false},
		"duplicate image":              {`{"spec":{"containers":[{"name":"a","image":"x","image":"y"}]}}`, false},
		"duplicate list":               {`{"spec":{"containers":[],"containers":[{"name":"a","image":"x"}]}}`, false},
		"wrong type":                   {`{"spec":{"containers":"x"}}`, false},
		"trailing data":                {`{"spec":{}} {}`, false},
		"not JSON":                     {`spec: {}`, false},
		"empty":                        {``, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var pod corev1.Pod
			if err := decode([]byte(test.raw), &pod); (err == nil) != test.ok {
				t.Errorf("got error %v, want ok %t", err, test.ok)
			}
		})
	}
}

// podSpecWith makes a pod spec that has one image in each list whose argument is not empty.
func podSpecWith(container, initContainer, ephemeral, volume string) corev1.PodSpec {
	var spec corev1.PodSpec
	if container != "" {
		spec.Containers = []corev1.Container{{Name: "main", Image: container}}
	}
	if initContainer != "" {
		spec.InitContainers = []corev1.Container{{Name: "init", Image: initContainer}}
	}
	if ephemeral != "" {
		spec.EphemeralContainers = []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: "debug", Image: ephemeral}}}
	}
	if volume != "" {
		spec.Volumes = []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{Image: &corev1.ImageVolumeSource{Reference: volume}}}}
	}
	return spec
}

// object encodes an object of a kind named "thing" with the pod spec where that kind has it.
func object(t *testing.T, k kind, spec corev1.PodSpec) []byte {
	t.Helper()
	var at any = spec
	path := strings.Split(k.path, ".")
	for _, member := range slices.Backward(path) {
		at = map[string]any{member: at}
	}
	o, ok := at.(map[string]any)
	if !ok {
		t.Fatalf("kind %s has an empty path", k.gvk.Kind)
	}
	o["metadata"] = metav1.ObjectMeta{Name: "thing", Namespace: "default"}
	o["apiVersion"], o["kind"] = metav1.GroupVersion{Group: k.gvk.Group, Version: k.gvk.Version}.String(), k.gvk.Kind
	b, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
