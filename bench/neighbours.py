# How often the nearest neighbours by sound of clips in splits fold1, fold2 … share their
# label: neighbours.py http://127.0.0.1:8420 of a running avjepa serve.
import json,urllib.request,sys,collections
b=sys.argv[1]
def get(u): return json.load(urllib.request.urlopen(b+u,timeout=60))
clips=[];cur=''
while True:
    d=get('/v1/clips?limit=200'+('&cursor='+cur if cur else ''))
    clips+=d['items']; cur=d.get('next') or ''
    if not cur: break
print(len(clips), collections.Counter((c['has_audio'],c['has_video']) for c in clips))
esc=[c for c in clips if c.get('split','').startswith('fold')]
lab={c['id']:(c['labels'] or [''])[0] for c in clips}
escid={c['id'] for c in esc}
n=hit=any5=tot=inesc=0
for c in esc:
    r=get('/v1/clips/%s/neighbours?by=audio&limit=5'%c['id'])
    items=r.get('items') or r.get('results') or r
    ids=[ (i.get('clip') or i).get('id') for i in items][:5]
    same=[lab.get(i)==lab[c['id']] for i in ids]
    inesc+=sum(i in escid for i in ids)
    tot+=len(ids); hit+=sum(same); any5+=any(same); n+=1
print('ESC queries',n,'precision@5',hit/tot,'any@5',any5/n,'neighbours in ESC',inesc/tot)
