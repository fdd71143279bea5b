// Writes log and snapshot files with Apache's own classes, for the tests of this crate, and reads
// those of others. With the jars of ZooKeeper 3.9.5 on the class path:
//   java -Dzookeeper.preAllocSize=1 [-Dzookeeper.snapshot.compression.method=gz|snappy] \
//       -Dzookeeper.digest.enabled=true -cp 'jars/*' Files.java write DIR
//   java -cp 'jars/*' Files.java read DIR

import java.io.File;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.jute.Record;
import org.apache.zookeeper.ZooDefs;
import org.apache.zookeeper.ZooDefs.OpCode;
import org.apache.zookeeper.data.ACL;
import org.apache.zookeeper.data.Id;
import org.apache.zookeeper.server.DataTree;
import org.apache.zookeeper.server.Request;
import org.apache.zookeeper.server.persistence.FileTxnSnapLog;
import org.apache.zookeeper.txn.CreateSessionTxn;
import org.apache.zookeeper.txn.CreateTxn;
import org.apache.zookeeper.txn.SetDataTxn;
import org.apache.zookeeper.txn.TxnDigest;
import org.apache.zookeeper.txn.TxnHeader;

public class Files {
    static final long SESSION = 0x1000a3b2c1d0001L;
    static final long TIME = 1700000000000L;

    public static void main(String[] args) throws Exception {
        File dir = new File(args[1]);
        FileTxnSnapLog log = new FileTxnSnapLog(dir, dir);
        DataTree tree = new DataTree();
        ConcurrentHashMap<Long, Integer> sessions = new ConcurrentHashMap<>();
        if (args[0].equals("write")) {
            write(log, tree, sessions);
        } else {
            read(log, tree, sessions);
        }
        log.close();
    }

    static void write(FileTxnSnapLog log, DataTree tree, ConcurrentHashMap<Long, Integer> sessions)
            throws Exception {
        log.save(tree, sessions, true);
        long zxid = 0x100000001L;
        add(log, tree, zxid++, OpCode.createSession, new CreateSessionTxn(30000));
        sessions.put(SESSION, 30000);
        List<ACL> open = ZooDefs.Ids.OPEN_ACL_UNSAFE;
        add(log, tree, zxid++, OpCode.create, new CreateTxn("/a", "hello".getBytes(), open, false, 1));
        List<ACL> mine = List.of(new ACL(ZooDefs.Perms.ALL, new Id("digest", "me:x")));
        add(log, tree, zxid++, OpCode.create, new CreateTxn("/a/e", null, mine, true, 1));
        log.save(tree, sessions, true);
        log.rollLog();
        for (int version = 1; version <= 20; version++) {
            byte[] data = new byte[version * 10];
            java.util.Arrays.fill(data, (byte) version);
            add(log, tree, zxid++, OpCode.setData, new SetDataTxn("/a", data, version));
        }
    }

    static void add(FileTxnSnapLog log, DataTree tree, long zxid, int type, Record txn)
            throws Exception {
        int cxid = (int) zxid;
        TxnHeader header = new TxnHeader(SESSION, cxid, zxid, TIME, type);
        tree.processTxn(header, txn);
        Request request = new Request(SESSION, cxid, type, header, txn, zxid);
        request.setTxnDigest(new TxnDigest(2, tree.getTreeDigest()));
        log.append(request);
        log.commit();
    }

    static void read(FileTxnSnapLog log, DataTree tree, Map<Long, Integer> sessions)
            throws Exception {
        long[] count = {0};
        long last = log.restore(tree, sessions, (header, txn, digest) -> count[0]++);
        System.out.println("last " + Long.toHexString(last) + " replayed " + count[0]
                + " sessions " + new TreeMap<>(sessions) + " znodes " + tree.getNodeCount()
                + " digest " + tree.getTreeDigest());
    }
}
