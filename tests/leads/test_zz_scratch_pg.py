import asyncio, random, sys
sys.path.insert(0,"/tmp/rc")
import importlib.util, traceback
from collections import Counter
from datetime import timedelta
src=open("/tmp/rc/chaos.py").read().replace("asyncio.run(main())","")
ns={}; exec(compile(src,"chaos","exec"),ns)
from ivr.db import Database
from ivr import tenants
from tests.leads.cast import settings_for, NOW
import pytest
@pytest.mark.parametrize("n",range(20))
async def test_pg(postgres_url,n):
    db=Database(postgres_url)
    await tenants.ensure_default(db,settings_for(db.url),now=NOW)
    bad=Counter(); ex={}
    async def one(i):
        rng=random.Random(n*100+i); t=ns["Town"](db,rng); t.n=i*1000
        for _ in range(14):
            t.t+=timedelta(minutes=1)
            op=rng.choices([t.visit,t.talk,t.deny,t.end,t.merge,t.split,t.review,t.send],[6,7,2,4,2,1,1,2])[0]
            try: await op()
            except Exception as e:
                k=type(e).__name__+": "+str(e).split("\n")[0][:110]+" in "+op.__name__
                bad[k]+=1; ex.setdefault(k,"".join(traceback.format_exception(e)[-12:]))
    await asyncio.gather(*(one(i) for i in range(6)))
    await db.close()
    for k,v in bad.items():
        print("BAD",n,v,k)
        if "eadlock" in k: 
            fr=[l for l in ex[k].splitlines() if "/ivr/" in l or "DETAIL" in l or "Process" in l]
            print("   ", "\n    ".join(fr))
